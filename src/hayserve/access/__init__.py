"""Who may do what: keys, their scopes and budgets, and the tokens of identity providers."""
