"""A client of djangorestframework-simplejwt's default routes, as its
documentation shows one. Usage: simplejwt.py BASE_URL USERNAME PASSWORD"""
import sys

import requests

base, username, password = sys.argv[1:4]


def check(what, ok):
    if not ok:
        sys.exit("failed: " + what)
    print("ok", what)


pair = requests.post(base + "/api/token/", json={"username": username, "password": password}, timeout=20)
check("token pair", pair.status_code == 200 and set(pair.json()) == {"refresh", "access"})
access, refresh = pair.json()["access"], pair.json()["refresh"]

form = requests.post(base + "/api/token/", data={"username": username, "password": password}, timeout=20)
check("token pair by form", form.status_code == 200)

ok = requests.post(base + "/api/token/verify/", json={"token": access}, timeout=20)
check("verify", ok.status_code == 200 and ok.json() == {})

new = requests.post(base + "/api/token/refresh/", json={"refresh": refresh}, timeout=20)
check("refresh", new.status_code == 200 and set(new.json()) == {"access"})
again = requests.post(base + "/api/token/refresh/", json={"refresh": refresh}, timeout=20)
check("the refresh token stays good", again.status_code == 200)

bad = requests.post(base + "/api/token/", json={"username": username, "password": "certainly wrong"}, timeout=20)
check("wrong password", bad.status_code == 401 and bad.json() == {"detail": "No active account found with the given credentials"})

blank = requests.post(base + "/api/token/", json={}, timeout=20)
check("field errors", blank.status_code == 400 and blank.json() == {
    "username": ["This field is required."], "password": ["This field is required."]})

cut = requests.post(base + "/api/token/verify/", json={"token": access[:-2]}, timeout=20)
check("cut token", cut.status_code == 401 and cut.json()["code"] == "token_not_valid")

kind = requests.post(base + "/api/token/refresh/", json={"refresh": access}, timeout=20)
check("an access token does not refresh", kind.status_code == 401 and kind.json()["code"] == "token_not_valid")
