"""The words that broken input is made of: those of JSON and YAML, and those of HTTP."""

# JSON that nobody expects there, and what is no JSON.
ODD_TOKENS = (
    *("null", "true", "false", "0", "-0", "-0.0", "1e-999", "9" * 400, "0.1e-7", "1E400", "[]"),
    *("{}", "2147483648", "-9223372036854775809", "18446744073709551616", '""', '" "', '"\\u0000"'),
    *('"\\u202e"', '"\\ufeff"', '"a\\u0000b"', '"../../etc/passwd"', '"null"', '"true"', '"1"'),
    *('{"":""}', '{"\\u0000":1}', '{"__proto__":{}}', '{"__class__":"x"}', "[[]]", "[null]"),
    *("[{}]", '"2026-13-45T99:99:99Z"', '"P1Y"', '"data:;base64,"', '"data:a/b;base64,!"'),
    '"hs1.eJw="',
)
NO_TOKENS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000, '"\\ud800"'),
    *('"\\udc00\\ud800"', "01", "1.", ".5", "+1", "0x10", "1_000", "'a'", "undefined", "tru"),
    *('"\\x"', '"\\u12"', '"\n"'),
)
ODD_KEYS = (
    *("", "\0", "a" * 3000, "__class__", "type", "$ref", "$defs", "é", "a.b", "a[0]", "\u202e"),
)
# Of texts, forms and YAML.
ODD_BYTES = (
    *(b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80"),
    *(b"\xf4\x90\x80\x80", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\t", b" ", b";", b"=", b"&", b"%"),
    *(b"%00", b"%ff", b"%", b"%u0041", b"--", b":", b"#", b"?", b"/", b"//", b"..", b"\\", b'"'),
    *(b"'", b"[", b"]", b"{", b"}", b"<<: *a", b"&a ", b"*a", b"!!python/object:os.system "),
    *(b"!!binary ", b"!!set ", b"- ", b"? ", b"|\n", b">-\n", b"---\n", b"...\n", b"%YAML 9.9\n"),
    *(b"~", b".inf", b".nan", b"0o17", b"1_0", b"1:30", b"2026-99-99", b"=", b"@", b"`", b"1e999"),
    *(b"nan", b"inf", b"-1", b"0", b"9" * 300, b"A" * 2000, b"multipart/form-data; boundary="),
    *(b"charset=utf-7", b"charset=utf-16", b"filename*=utf-8''%ff", b"name=", b"filename="),
    *(b"GNU.sparse.major=1\n", b"path=../x\n"),
)

# Of HTTP and WebSocket.
PATHS = (
    *("/", "/healthz", "/readyz", "/status", "/status/echo", "/openapi.json", "/metrics", "/runs"),
    *("/v1/models", "/v1/models/echo", "/echo/run", "/agent/run", "/upload/run", "/v1/responses"),
    *("/v1/responses/resp_1", "/v1/responses/resp_1/input_items", "/v1/responses/resp_1/cancel"),
    *("/v1/conversations", "/v1/conversations/conv_1", "/v1/conversations/conv_1/items"),
    *("/v1/conversations/conv_1/items/msg_1", "/v1/files", "/v1/files/file-1/content"),
    *("/v1/chat/completions", "/v1/chat/completions/chatcmpl-1", "/v1/embeddings"),
    *("/deployments/x", "/deployments/x/history", "/deployments/x/diff?old=1&new=2", "/undeploy/x"),
    *("/deploy_files", "/deploy-yaml", "/runs/0", "/keys", "/usage", "/docs", "/nothing"),
)
ODD_PATHS = (
    *(b"*", b"", b"x", b"http://localhost/status", b"http://[::1", b"http://a@b:99999/", b"//x//y"),
    *(b"/../../etc/passwd", b"/%2e%2e/%2f", b"/%00", b"/%", b"/%zz", b"/%ff%fe/run", b"/a%0d%0ab"),
    *(b"/\xff\xfe", b"/a b", b"/a\tb", b"/\\x", b"/x#y", b"/?", b"/?%", b"/?a=%00&a=%ff"),
    *(b"/x;y=1", b"localhost:443", b"/" + b"a" * 5000, b"/" + b"a/" * 3000, b"/" + b"%41" * 3000),
    *(b"/\0", b"/%F0%9F%98%80/run", b"/v1/responses/%2f", b"/v1/files/..%2f..%2fx/content"),
    *(b"/status/%0a", b"/runs/\xc3\xa9", b"/echo%2Frun", b"/echo/run/", b"//echo/run"),
    *(b"/./echo/run", b"/%u0041"),
)
METHODS = (
    *(b"GET", b"GET", b"POST", b"POST", b"DELETE", b"PUT", b"PATCH", b"HEAD", b"OPTIONS", b"TRACE"),
    *(b"CONNECT", b"get", b"G\0T", b"", b"PRI", b"M-SEARCH", b"X" * 300, b"PROPFIND", b"\xff"),
    b"G T",
)
VERSIONS = (
    *(b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/1.10"),
    *(b"HTTP/11", b"http/1.1", b"HTTP/1.1 ", b"HTTP/a.b", b"", b"ICE/1.0", b"RTSP/1.0"),
    b"HTTP/-1.1",
)
LINE_ENDS = (*(b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b" \r\n", b"\0\r\n"),)
ODD_VALUES = (
    *(b"", b" ", b"\0", b"\xff", b"\xc3\xa9", b"a" * 5000, b"a,b", b'"', b"\t", b"\x7f", b"\x01"),
    *(b"-1", b"nan", b"inf", b"1e400", b"0x1", b"1_0", b"\xd9\xa1", b"null", b"\rX: y"),
    *(b"=?utf-8?q?x?=", b";", b"*/*;q=" + b"9" * 500, b"bytes=0-" + b"9" * 100),
    *(b"gzip" + b",gzip" * 500, b"%00", b"${x}"),
)
NAMES = (
    *(b"host", b"origin", b"content-type", b"accept", b"accept-encoding", b"authorization"),
    *(b"x-api-key", b"x-run-timeout", b"x-run-on-disconnect", b"idempotency-key", b"last-event-id"),
    *(b"range", b"cookie", b"x-request-id", b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"),
    *(b"traceparent", b"te", b"expect", b"connection", b"keep-alive", b"upgrade"),
    *(b"content-encoding", b"if-none-match", b"", b" x", b"x ", b"x\0y", b"x(y)", b"\xff"),
    *(b"n" * 3000, b":authority", b"transfer-encoding"),
)
LENGTHS = (
    *(b"-1", b"+2", b"0x2", b"2 ", b" 2", b"2,2", b"2, 3", b"2.0", b"1e3", b""),
    *(b"99999999999999999999", b"18446744073709551616", b"\xd9\xa2", b"2\0", b"00002"),
    *(b"4294967297", b"999999", b"0", b"1"),
)
CODINGS = (
    *(b"chunked", b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"identity", b"Chunked"),
    *(b" chunked", b"chunked\x0b", b"xchunked", b'"chunked"', b"chunked;q=1", b"", b"\x00chunked"),
)
CHUNKS = (
    *(b"2\r\n{}\r\n0\r\n\r\n", b"2;a=b\r\n{}\r\n0\r\nx: y\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n"),
    *(b"2\n{}\n0\n\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFF\r\n{}"),
    *(b"10000000000000000\r\n", b"2\r\n{}0\r\n\r\n"),
    *(b"2;" + b"e" * 20_000 + b"\r\n{}\r\n0\r\n\r\n", b"0\r\n" + b"t: x\r\n" * 3000 + b"\r\n"),
    *(b"z\r\n", b"2 \r\n{}\r\n0\r\n\r\n", b"\r\n\r\n"),
    b"2\r\n{}\r\n0\r\nhost: other\r\ncontent-length: 5\r\n\r\n",
    *(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"1\r\nx\r\n" * 2000, b"7FFFFFFF\r\nx"),
    b"2\r\n{}\r\n00000000\r\n\r\n",
)
FOREIGN = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"SSH-2.0-OpenSSH_9.0\r\n"),
    *(b"EHLO x\r\nMAIL FROM:<a@b>\r\n", b"GET /status\r\n", b"*1\r\n$4\r\nPING\r\n"),
    *(b"\0\0\0\x08\x04\xd2\x16\x2f", b"\r\n" * 3000 + b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"),
    *(b"\xef\xbb\xbfGET / HTTP/1.1\r\nhost: x\r\n\r\n", bytes(5000)),
)
UPGRADES = (
    *(b"h2c", b"websocket", b"WebSocket, h2c", b"TLS/1.0", b"websocket/13", b"", b"a" * 3000),
)
CLOSE_CODES = (*(0, 999, 1000, 1004, 1005, 1006, 1015, 2999, 3000, 5000, 65535),)
