# SPDX-License-Identifier: Apache-2.0
"""Entra, the instance metadata service, Azure Arc's agent and the Logs Ingestion API as their documents describe them,
and stricter: everything a request holds is checked, and what the API would only refuse is noted as a violation.

Misbehaviour is scripted: `script(n, rows)` names what happens to the n-th ingestion request (see Ingest.MISBEHAVIOUR)."""
import base64
import contextlib
import datetime
import email.utils
import functools
import gzip
import hashlib
import http.server
import json
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse

GUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
RESERVED = {"_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"}
LIMIT = 1_048_576       # what the API takes, before and after compression
OUR_LIMIT = 1_000_000   # what segwatch promises to stay below
FIELD_LIMIT = 65_536
TENANT, CLIENT = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
DCR, STREAM = "dcr-0123456789abcdef0123456789abcdef", "Custom-SegwatchFinding"


def make_certificates(folder):
    """ca.pem, and server.pem (key and certificate) for localhost and 127.0.0.1, below `folder`."""
    folder = pathlib.Path(folder)
    run = lambda *a: subprocess.run(["openssl", *a], check=True, cwd=folder, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
        "-subj", "/CN=test authority")
    run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "ext", "-out", "server.crt")
    (folder / "server.pem").write_text((folder / "server.key").read_text() + (folder / "server.crt").read_text())
    return folder


@functools.lru_cache(maxsize=None)
def certificates():
    """The same for the whole process: keys take their time."""
    folder = tempfile.TemporaryDirectory()
    make_certificates(folder.name)
    return folder


class Proxy:
    """An HTTP proxy that knows CONNECT only, and remembers where it was asked to go."""

    def __init__(self):
        self.targets = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(client,), daemon=True).start()

    def one(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096) or b"\r\n\r\n"
        method, target = head.split(b" ")[:2]
        self.targets.append((method.decode(), target.decode()))
        host, _, port = target.decode().partition(":")
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        pump = lambda a, b: (shutil.copyfileobj(a.makefile("rb", 0), b.makefile("wb", 0), 4096), b.close())
        threading.Thread(target=pump, args=(server, client), daemon=True).start()
        with contextlib.suppress(OSError):
            pump(client, server)

    def close(self):
        self.socket.close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass  # clients of this test break connections on purpose


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status, value=None, headers=()):
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for key, text in headers:
            self.send_header(key, text)
        if status != 204:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def reset(self):
        """RST instead of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self.connection.close()
        self.close_connection = True

    taken = frozenset()  # what the last request on this connection brought

    def do_GET(self):
        self.fake.on_get(self)

    def do_POST(self):
        self.taken = frozenset()
        self.fake.on_post(self)

    def finish(self):
        """A client that heard the answer goes on with its connection; one that closes it may have given up before."""
        if self.taken:
            with self.fake.lock:
                self.fake.unknown |= self.taken
        super().finish()


class FakeAzure:
    def __init__(self, folder, columns, audience="https://monitor.azure.com"):
        self.folder = pathlib.Path(folder)
        for name in ("ca.pem", "server.pem"):
            shutil.copy(pathlib.Path(certificates().name) / name, self.folder / name)
        self.columns = {c["name"]: c for c in columns}
        self.audience = audience
        self.lock = threading.RLock()
        self.secrets, self.certificate = {"s3cret-canary"}, None
        self.federated = {"federated-canary"}
        self.identities = {None, "id-of-user"}
        self.identity_header = "header-canary"
        self.token_ttl = 3600
        self.entra_status = 200
        self.entra_refusals = []      # (status, Retry-After or None) of the next answers, of Entra and IMDS
        self.assertions = []          # of federated requests, in order
        self.says_to_nothing = None   # (code, message) of a 400 to an empty array; None: it is taken
        self.tokens = {}              # token -> (expires, audience)
        self.token_requests = []      # (time, kind, status)
        self.events = []              # "T" a token was asked for, else the status of an ingestion request
        self.requests = []            # of ingestion: dict(status, rows, bytes, plain)
        self.rows = []                # accepted, in order
        self.unknown = set()          # EventOriginalUid of rows accepted in a request that got no clear answer
        self.violations = []
        self.script = lambda n, rows: "ok"
        self.hang_seconds = 3.0
        self.poison = "POISON"
        self.arc_dir = self.folder / "arc"
        self.arc_dir.mkdir()
        self.arc_keys = {}
        handler = type("H", (Handler,), {"fake": self})
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(self.folder / "server.pem")
        self.handler = handler
        self.port = self.https = None
        self.up()
        self.http = Server(("127.0.0.1", 0), handler)
        self.http_port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def up(self):
        self.https = Server(("127.0.0.1", self.port or 0), self.handler)
        # the handshake belongs to the connection's thread, not to the one that accepts
        self.https.socket = self.context.wrap_socket(self.https.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.https.server_address[1]
        threading.Thread(target=self.https.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def down(self):
        self.https.shutdown()
        self.https.server_close()
        self.https = None

    def close(self):
        if self.https:
            self.down()
        self.http.shutdown()
        self.http.server_close()

    @property
    def endpoint(self):
        return f"https://localhost:{self.port}"

    @property
    def ca(self):
        return self.folder / "ca.pem"

    def wrong(self, text):
        with self.lock:
            self.violations.append(text)

    # ---- Entra, IMDS, Arc ----

    def new_token(self, kind):
        with self.lock:
            self.token_requests.append((time.monotonic(), kind, 200))
            self.events.append("T")
            token = f"token-canary-{len(self.token_requests)}-" + "x" * 1200
            self.tokens[token] = (time.monotonic() + self.token_ttl, self.audience)
            return token

    def entra_error(self, h, status, code, text, headers=()):
        with self.lock:
            self.token_requests.append((time.monotonic(), "error", status))
            self.events.append("T")
        h.answer(status, {"error": "invalid_client", "error_description": f"{code}: {text}\r\nTrace ID: 1",
                          "error_codes": [int(code[6:])], "trace_id": "1", "correlation_id": "2"}, headers)

    def refuses_token(self, h):
        """Whether it is one of those that are scripted."""
        with self.lock:
            if not self.entra_refusals:
                return False
            status, later = self.entra_refusals.pop(0)
        self.entra_error(h, status, "AADSTS90055", "Too many requests.", [("Retry-After", later)] if later else ())
        return True

    def on_token(self, h, body):
        if h.headers.get("Content-Type") != "application/x-www-form-urlencoded":
            self.wrong("token request without form content type")
        form = urllib.parse.parse_qs(body.decode(), strict_parsing=True)
        if any(len(v) != 1 for v in form.values()):
            self.wrong(f"token request repeats a parameter: {form.keys()}")
        form = {k: v[0] for k, v in form.items()}
        if form.get("grant_type") != "client_credentials" or form.get("scope") != self.audience + "/.default":
            self.wrong(f"token request: {form.get('grant_type')} {form.get('scope')}")
        if self.refuses_token(h):
            return
        if self.entra_status != 200:
            return self.entra_error(h, self.entra_status, "AADSTS90033", "A transient error has occurred.")
        if form.get("client_id") != CLIENT:
            return self.entra_error(h, 400, "AADSTS700016", "Application was not found in the directory.")
        if "client_secret" in form:
            if form["client_secret"] not in self.secrets:
                return self.entra_error(h, 401, "AADSTS7000215", "Invalid client secret provided.")
            kind = "secret"
        elif form.get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            assertion = form.get("client_assertion", "")
            self.assertions.append(assertion)
            if assertion in self.federated:
                kind = "federated"
            else:
                why = self.bad_assertion(assertion)
                if why:
                    self.wrong(f"assertion: {why}")
                    return self.entra_error(h, 401, "AADSTS700027", why)
                kind = "certificate"
        else:
            return self.entra_error(h, 401, "AADSTS7000216", "client_assertion or client_secret is required.")
        h.answer(200, {"token_type": "Bearer", "expires_in": self.token_ttl, "ext_expires_in": self.token_ttl,
                       "access_token": self.new_token(kind)})

    def bad_assertion(self, jwt):
        """None if the signed assertion is what Entra documents for certificates."""
        parts = jwt.split(".")
        if len(parts) != 3 or self.certificate is None:
            return "not a JWT, or no certificate is registered"
        decode = lambda s: base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
        head, claims, signature = json.loads(decode(parts[0])), json.loads(decode(parts[1])), decode(parts[2])
        der = subprocess.run(["openssl", "x509", "-in", self.certificate, "-outform", "DER"], check=True,
                             stdout=subprocess.PIPE).stdout
        thumb = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
        if head != {"alg": "PS256", "typ": "JWT", "x5t#S256": thumb}:
            return f"header {head}"
        now = time.time()
        if claims["aud"] != f"{self.endpoint}/{TENANT}/oauth2/v2.0/token" or claims["iss"] != CLIENT or claims["sub"] != CLIENT:
            return f"claims {claims}"
        if not (claims["nbf"] <= now + 1 and now < claims["exp"] <= now + 660) or not re.fullmatch(r"[0-9a-f]{32}", claims["jti"]):
            return f"times or id {claims}"
        public = self.folder / "public.pem"
        public.write_bytes(subprocess.run(["openssl", "x509", "-in", self.certificate, "-pubkey", "-noout"], check=True,
                                          stdout=subprocess.PIPE).stdout)
        (self.folder / "signature").write_bytes(signature)
        check = subprocess.run(["openssl", "dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt",
                                "rsa_pss_saltlen:32", "-verify", public, "-signature", self.folder / "signature"],
                               input=".".join(parts[:2]).encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return None if check.returncode == 0 else "signature"

    def on_get(self, h):
        url = urllib.parse.urlsplit(h.path)
        query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
        if url.path == "/msi/token" and h.server is self.http:
            return self.on_app_service(h, query)
        if url.path != "/metadata/identity/oauth2/token" or h.server is not self.http:
            return h.answer(404, {})
        if h.headers.get("Metadata") != "true" or "X-Forwarded-For" in h.headers:
            self.wrong("metadata request without Metadata: true")
            return h.answer(400, {"error": "bad_request"})
        if query.get("resource") != self.audience + "/":
            self.wrong(f"metadata request for {query.get('resource')}")
        if query.get("api-version") == "2020-06-01":
            return self.on_arc(h)
        if query.get("api-version") != "2018-02-01":
            self.wrong(f"metadata api-version {query.get('api-version')}")
        if self.refuses_token(h):
            return
        if query.get("client_id") not in self.identities:
            with self.lock:
                self.token_requests.append((time.monotonic(), "error", 400))
                self.events.append("T")
            return h.answer(400, {"error": "invalid_request", "error_description": "Identity not found"})
        h.answer(200, {"access_token": self.new_token("imds"), "expires_in": str(self.token_ttl), "client_id": CLIENT,
                       "expires_on": str(int(time.time()) + self.token_ttl), "resource": query.get("resource"),
                       "token_type": "Bearer"})

    def on_app_service(self, h, query):
        """IDENTITY_ENDPOINT of App Service and container apps, 2019-08-01: no expires_in, names of its own."""
        if h.headers.get("X-IDENTITY-HEADER") != self.identity_header or "Metadata" in h.headers:
            self.wrong(f"identity endpoint: header {h.headers.get('X-IDENTITY-HEADER')}")
            return h.answer(401, {"statusCode": 401, "message": "The X-IDENTITY-HEADER is missing or wrong."})
        named = {k: v for k, v in query.items() if k not in ("resource", "api-version")}
        if query.get("resource") != self.audience + "/" or query.get("api-version") != "2019-08-01" or len(named) > 1:
            self.wrong(f"identity endpoint: {query}")
            return h.answer(400, {"statusCode": 400, "message": "Invalid request."})
        if named and named not in ({"client_id": "id-of-user"}, {"principal_id": "object-of-user"},
                                   {"mi_res_id": "/subscriptions/s/identity"}):
            with self.lock:
                self.token_requests.append((time.monotonic(), "error", 400))
                self.events.append("T")
            return h.answer(400, {"statusCode": 400, "message": "No User Assigned or Delegated Managed Identity found."})
        h.answer(200, {"access_token": self.new_token("app service"), "client_id": CLIENT, "resource": query["resource"],
                       "expires_on": str(int(time.time()) + self.token_ttl), "not_before": "0", "token_type": "Bearer"})

    def on_arc(self, h):
        given = h.headers.get("Authorization", "")
        if given.startswith("Basic ") and given[6:] in self.arc_keys.values():
            return h.answer(200, {"access_token": self.new_token("arc"), "expires_in": str(self.token_ttl)})
        if given:
            self.wrong("Arc: wrong challenge answer")
        path = self.arc_dir / f"{len(self.arc_keys)}.key"
        self.arc_keys[path] = f"arc-canary-{len(self.arc_keys)}"
        path.write_text(self.arc_keys[path])
        h.answer(401, {}, [("WWW-Authenticate", f"Basic realm={path}")])

    # ---- Logs Ingestion ----

    MISBEHAVIOUR = ("ok", "400", "401", "403", "404", "408", "413", "429", "429 date", "500", "503", "500 taken", "hang",
                    "hang taken", "reset", "reset taken", "half", "half taken")

    def on_post(self, h):
        body = h.body()
        url = urllib.parse.urlsplit(h.path)
        if url.path == f"/{TENANT}/oauth2/v2.0/token" and not url.query:
            return self.on_token(h, body)
        if url.path.endswith("/oauth2/v2.0/token"):
            return self.entra_error(h, 400, "AADSTS90002", "Tenant not found.")
        if url.path.startswith(f"/dataCollectionRules/{DCR}/streams/") and not url.path.endswith("/" + STREAM):
            self.note(400, [], body, body)
            return h.answer(400, {"error": {"code": "InvalidStream", "message": f"The stream {url.path.split('/')[-1]} was not "
                                            f"configured in the data collection rule with immutable Id {DCR}."}})
        if url.path != f"/dataCollectionRules/{DCR}/streams/{STREAM}":
            self.note(404, [], body, body)
            return h.answer(404, {"error": {"code": "NotFound", "message": "Data collection rule not found"}})
        self.on_ingest(h, url, body)

    def note(self, status, rows, body, plain):
        with self.lock:
            self.events.append(str(status))
            self.requests.append({"status": status, "rows": len(rows), "bytes": len(body), "plain": len(plain),
                                  "time": time.monotonic()})

    def on_ingest(self, h, url, body):
        if url.query != "api-version=2023-01-01":
            self.wrong(f"query {url.query}")
        if h.headers.get("Content-Type") != "application/json" or h.headers.get("Content-Encoding") != "gzip":
            self.wrong(f"content type {h.headers.get('Content-Type')} {h.headers.get('Content-Encoding')}")
        if not GUID.match(h.headers.get("x-ms-client-request-id", "")):
            self.wrong("x-ms-client-request-id is not a GUID")
        plain = gzip.decompress(body)
        if len(body) > OUR_LIMIT or len(plain) > OUR_LIMIT:
            self.wrong(f"body of {len(body)} and {len(plain)} bytes")
        rows = json.loads(plain)
        with self.lock:
            n = len(self.requests)
            action = self.script(n, rows)
        expires, audience = self.tokens.get(h.headers.get("Authorization", "")[7:], (0, ""))
        if audience != self.audience or time.monotonic() > expires:
            action = "401"
        self.act(h, action, rows, body, plain)

    def act(self, h, action, rows, body, plain):
        error = lambda status, code, text, headers=(): (self.note(status, rows, body, plain), h.answer(
            status, {"error": {"code": code, "message": text}}, headers))
        what, _, how = action.partition(" ")
        if what == "413" and len(rows) < 2:
            what = "ok"
        if what == "401":
            return error(401, "AuthorizationFailed", "The token is not valid.")
        if what == "403":
            return error(403, "OperationFailed", "The authentication token provided does not have access to ingest data "
                                                 "for the data collection rule.")
        if what == "413":
            return error(413, "ContentLengthLimitExceeded", "Maximum allowed content length: 1048576 bytes (1 MB).")
        if what == "429":
            later = how if how.isdigit() else email.utils.formatdate(time.time() + 1, usegmt=True) if how else "0"
            return error(429, "TooManyRequests", "Rate limit is reached.", [("Retry-After", later)])
        if what in ("404", "408", "503") or (what == "500" and not how):
            return error(int(what), "Error", "scripted")
        if what == "400":
            return error(400, "InvalidPayload", "scripted")
        why = self.refuse(rows, plain)
        if what == "ok":
            if why:
                return error(400, *why)
            self.take(rows, False)
            h.taken = frozenset(r["EventOriginalUid"] for r in rows)
            self.note(204, rows, body, plain)
            return h.answer(204)
        # no clear answer: the rows may have been taken or not
        if how == "taken" and not why:
            self.take(rows, True)
        self.note(what, rows, body, plain)
        if what == "500":
            h.answer(500, {"error": {"code": "Error", "message": "scripted"}})
        elif what == "hang":
            time.sleep(self.hang_seconds)
            h.close_connection = True
        elif what == "reset":
            h.reset()
        else:
            h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{\"half\":")
            h.wfile.flush()
            h.close_connection = True

    def take(self, rows, unknown):
        with self.lock:
            self.rows += rows
            if unknown:
                self.unknown |= {r["EventOriginalUid"] for r in rows}

    def refuse(self, rows, plain):
        """What the API refuses; what segwatch must never send is a violation as well."""
        if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
            self.wrong("body is not an array of objects")
            return "InvalidPayload", "array of objects expected"
        if not rows:
            return self.says_to_nothing
        if any(self.poison in r.get("AlertName", "") for r in rows):
            return "InvalidRow", "The row does not match the schema."
        times = []
        for r in rows:
            for text in self.bad_row(r):
                self.wrong(text)
            times.append(datetime.datetime.fromisoformat(r["TimeGenerated"].replace("Z", "+00:00")))
        if max(times) - min(times) >= datetime.timedelta(minutes=30):
            self.wrong(f"time spread {max(times) - min(times)}")
            return "RecordsTimeRangeIsMoreThan30Minutes", "scripted"
        uids = [r["EventOriginalUid"] for r in rows]
        if len(set(uids)) != len(uids):
            self.wrong("a line twice in one request")
        return None

    def bad_row(self, row):
        types = {"string": str, "int": int, "long": int, "boolean": bool, "datetime": str, "dynamic": (dict, list)}
        for key, value in row.items():
            column = self.columns.get(key)
            if column is None or key in RESERVED:
                yield f"column {key} is not declared"
            elif not isinstance(value, types[column["type"]]) or (column["type"] in ("int", "long") and isinstance(value, bool)):
                yield f"column {key} is a {type(value).__name__}"
            elif column["type"] == "int" and abs(value) > 2**31 - 1 or column["type"] == "long" and abs(value) > 2**63 - 1:
                yield f"column {key} is out of range"
            elif column["type"] == "datetime" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value):
                yield f"column {key} is not a time: {value}"
            elif column["type"] == "string" and len(value.encode()) > column.get("max", FIELD_LIMIT):
                yield f"column {key} has {len(value.encode())} bytes"
            elif column["type"] == "dynamic" and len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) > FIELD_LIMIT:
                yield f"column {key} is longer than a field may be"
        for key in ("TimeGenerated", "EventUid", "EventOriginalUid", "EventType", "EventSchema", "EventSchemaVersion",
                    "EventVendor", "EventProduct", "EventCount", "EventStartTime", "EventEndTime", "Finding"):
            if key not in row:
                yield f"column {key} is missing"
