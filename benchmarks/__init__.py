"""How fast hayserve is: beside Hayhooks, and above a floor without any framework."""
