"""Refuses revoked access tokens too, by their status list (Token Status List, draft 21).

Reads a token a line, prints "ok SUB" or "refused REASON".
"""

import base64
import re
import sys
import threading
import time
import urllib.request
import zlib

import jwt

from verify_token import ISSUER, KEYS, verify

PREFIX = ISSUER.rstrip("/") + "/oauth2/status-lists/"
LOCK = threading.Lock()
LISTS = {}  # uri: [when to ask again, claims of the list, its bytes]


def fetch(uri):
    request = urllib.request.Request(uri, headers={"Accept": "application/statuslist+jwt"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        text = answer.read(1 << 20).decode("ascii")
    header = jwt.get_unverified_header(text)
    if header.get("typ") != "statuslist+jwt":  # no other document passes as a list
        raise jwt.InvalidTokenError("not a status list")
    jwk = KEYS.key(header.get("kid"))
    claims = jwt.decode(
        text, jwk.key, algorithms=[jwk._jwk_data["alg"]], issuer=ISSUER, options={"require": ["exp", "iat", "iss", "sub"]}
    )
    if claims["sub"] != uri or claims["status_list"]["bits"] != 1:
        raise jwt.InvalidTokenError("another list")
    packed = claims["status_list"]["lst"]
    unpacked = zlib.decompressobj().decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)), 1 << 20)
    return claims, unpacked


def check(claims):
    """Raises jwt.InvalidTokenError for a token that was revoked, or whose list cannot be had."""
    reference = claims.get("status", {}).get("status_list")
    if reference is None:
        return  # its exp alone ends it
    uri, idx = reference["uri"], reference["idx"]
    if not (uri.startswith(PREFIX) and re.fullmatch("[a-z0-9]+", uri[len(PREFIX) :])):
        raise jwt.InvalidTokenError("a list elsewhere")  # never ask just any address that a token names
    with LOCK:
        entry = LISTS.setdefault(uri, [0.0, None, b""])
        if time.monotonic() >= entry[0]:
            entry[0] = time.monotonic() + 2  # asked again after two seconds, whatever comes of it
            try:
                entry[1:] = fetch(uri)
            except (OSError, ValueError, KeyError, TypeError, zlib.error, jwt.PyJWTError) as e:
                print("status list not fetched:", e, file=sys.stderr)
        _, known, bits = entry
    if known is None or known["exp"] <= time.time():
        raise jwt.InvalidTokenError("status unknown")  # what cannot be looked up is not good
    if not 0 <= idx < len(bits) * 8 or bits[idx // 8] >> idx % 8 & 1:
        raise jwt.InvalidTokenError("revoked")


def main():
    for line in sys.stdin:
        try:
            claims = verify(line.rstrip("\n"))
            check(claims)
            print("ok", claims["sub"], flush=True)
        except (jwt.InvalidTokenError, AttributeError, KeyError, TypeError) as e:
            print("refused", e, flush=True)


if __name__ == "__main__":
    main()
