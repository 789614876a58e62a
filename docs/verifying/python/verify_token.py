"""Verifies access tokens of a Sallyport server with PyJWT (Debian: python3-jwt).

Reads a token a line, prints "ok SUB" or "refused REASON".
"""

import os
import sys
import threading
import time

import jwt

ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ["AUDIENCE"]


class Keys(jwt.PyJWKClient):
    """The issuer's keys, by kid.

    PyJWT fetches the key set anew for every kid that it does not know. Anybody
    can send tokens with made-up kids, so this asks at most once in ten seconds.
    """

    def __init__(self, url):
        super().__init__(url, lifespan=300, cache_keys=False)
        self._lock = threading.Lock()
        self._keys = {}
        self._fresh_until = 0.0
        self._asked = float("-inf")

    def key(self, kid):
        with self._lock:
            now = time.monotonic()
            known = self._keys.get(kid)
            if known and now < self._fresh_until:
                return known
            if now - self._asked >= 10:
                self._asked = now
                try:
                    fetched = self.get_jwk_set(refresh=True).keys
                    self._keys = {k.key_id: k for k in fetched if k.public_key_use == "sig"}
                    self._fresh_until = now + 300  # the server's max-age
                except jwt.PyJWTError:
                    pass  # the keys fetched last are good until it answers again
            if kid not in self._keys:
                raise jwt.InvalidTokenError("unknown key")
            return self._keys[kid]


KEYS = Keys(ISSUER.rstrip("/") + "/.well-known/jwks.json")


def verify(token):
    """Returns the claims, or raises jwt.InvalidTokenError."""
    header = jwt.get_unverified_header(token)
    if "crit" in header:  # PyJWT before 2.12 ignores it
        raise jwt.InvalidTokenError("crit is not supported")
    jwk = KEYS.key(header.get("kid"))
    claims = jwt.decode(
        token,
        jwk.key,
        # The algorithm is the key's. Never take it from the token.
        algorithms=[jwk._jwk_data["alg"]],
        issuer=ISSUER,
        audience=AUDIENCE,
        # A token without exp could never be got rid of.
        options={"require": ["exp", "iat", "iss", "sub", "aud", "jti"]},
    )
    if claims["aud"] not in (AUDIENCE, [AUDIENCE]):  # PyJWT takes any of several
        raise jwt.InvalidAudienceError("token is for others, too")
    if not is_access(header, claims):  # refresh and id tokens are no access tokens
        raise jwt.InvalidTokenError("not an access token")
    return claims


def is_access(header, claims):
    """A contract's access tokens say so in a claim, those of the OAuth endpoints (RFC 9068) by their typ."""
    typ = str(header.get("typ") or "JWT").lower().removeprefix("application/")
    if typ == "at+jwt":
        return "token_use" not in claims and "client_id" in claims
    return typ == "jwt" and claims.get("token_use") == "access"


def main():
    for line in sys.stdin:
        try:
            print("ok", verify(line.rstrip("\n"))["sub"], flush=True)
        except jwt.InvalidTokenError as e:
            print("refused", e, flush=True)


if __name__ == "__main__":
    main()
