package app

import (
	"fmt"
	"os"
)

// demoCalls are shell calls that work as they stand against the demo, for each
// contract: log in, call the API, refresh. They need curl and sed alone.
func demoCalls(base string, user, app devUser, netosecret string) []demoCall {
	field := func(name string) string { return fmt.Sprintf(`sed -n 's/.*"%s":"\([^"]*\)".*/\1/p'`, name) }
	login := func(path string, u devUser) string {
		return fmt.Sprintf("curl -s %s%s -H 'Content-Type: application/json' -d '{\"username\":\"%s\",\"password\":\"%s\"}'", base, path, u.Username, u.Password)
	}
	call := fmt.Sprintf("curl -s %s/api/stations -H \"Authorization: Bearer $TOKEN\"", base)
	return []demoCall{
		{"PathStack: log in, call the API, refresh", lines(
			"ANSWER=$("+login("/token", user)+"); echo \"$ANSWER\"",
			"TOKEN=$(echo \"$ANSWER\" | "+field("access_token")+"); SUB=$(echo \"$ANSWER\" | "+field("sub")+"); REFRESH=$(echo \"$ANSWER\" | "+field("refresh_token")+")",
			call,
			fmt.Sprintf("curl -s %s/refresh -H 'Content-Type: application/json' -d '{\"sub\":\"'$SUB'\",\"refresh_token\":\"'$REFRESH'\"}'", base),
		)},
		{"ItemPath: log in, call the API, refresh, mint a token that never expires", lines(
			"ANSWER=$("+login("/api/users/login", app)+"); echo \"$ANSWER\"",
			"TOKEN=$(echo \"$ANSWER\" | "+field("accessToken")+"); REFRESH=$(echo \"$ANSWER\" | "+field("refreshToken")+")",
			call,
			fmt.Sprintf("curl -s -X POST %s/api/users/refresh -H \"Authorization: Bearer $REFRESH\"", base),
			fmt.Sprintf("curl -s -X POST %s/api/users/application-token -H \"Authorization: Bearer $REFRESH\"", base),
		)},
		{"Netography: log in with a form, call the API, refresh", lines(
			fmt.Sprintf("ANSWER=$(curl -s %s/api/auth/bearer/token -d 'username=%s&password=%s'); echo \"$ANSWER\"", base, user.Username, user.Password),
			"TOKEN=$(echo \"$ANSWER\" | "+field("access_token")+"); REFRESH=$(echo \"$ANSWER\" | "+field("refresh_token")+")",
			call,
			fmt.Sprintf("curl -s %s/api/auth/bearer/refresh -d \"refresh_token=$REFRESH\"", base),
		)},
		{"Netography: exchange a request token signed with the API key", lines(
			fmt.Sprintf("JWT=$(NETOSECRET=%s %s netosecret request-token)", netosecret, self()),
			fmt.Sprintf("curl -s %s/api/v1/auth/token -H 'Content-Type: application/json' -d '{\"jwt\":\"'$JWT'\"}'", base),
		)},
		{"A stranger gets nowhere", fmt.Sprintf("curl -s -i %s/api/stations", base)},
	}
}

func lines(all ...string) string {
	out := all[0]
	for _, l := range all[1:] {
		out += "\n" + l
	}
	return out
}

// self is how to call this very program.
func self() string {
	if exe, err := os.Executable(); err == nil {
		return exe
	}
	return "sallyport"
}
