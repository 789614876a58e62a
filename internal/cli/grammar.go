package cli

import "github.com/alecthomas/kong"

// Global flags stand on every command.
type Global struct {
	Data   string `placeholder:"DIR" help:"Data directory. (SALLYPORT_DATA; ./sallyport-data)"`
	Config string `placeholder:"FILE" help:"Configuration file. (SALLYPORT_CONFIG)"`
	JSON   bool   `name:"json" help:"Write JSON, errors too."`
}

// grammar is the whole command line.
type grammar struct {
	Global

	Serve  serveCmd  `cmd:"" group:"server" help:"Run the server; --dev for a demo that needs nothing."`
	Status statusCmd `cmd:"" group:"server" help:"Show what runs on the data directory."`
	Conf   configCmd `cmd:"" name:"config" group:"server" help:"Check or print the configuration."`
	Clock  clockCmd  `cmd:"" group:"server" help:"Look at the clock guard, or tell it that the clock is right."`
	Gate   gateCmd   `cmd:"" name:"gateway" group:"server" help:"Ask what the gateway does with a request."`
	Key    keyCmd    `cmd:"" group:"server" help:"List, rotate and drop signing keys; change the master key."`

	Backup  backupCmd  `cmd:"" group:"server" help:"Write the whole store into a file, while it is served."`
	Restore restoreCmd `cmd:"" group:"server" help:"Bring a store back from a backup, and confirm it."`

	Migrate      migrateCmd      `cmd:"" group:"server" help:"Show the schema of the store, and which versions can use it."`
	MigrateStore migrateStoreCmd `cmd:"" name:"migrate-store" group:"server" help:"Move everything into another store, as from a file into PostgreSQL."`

	User     userCmd     `cmd:"" group:"people" help:"Add, list and change users."`
	Account  accountCmd  `cmd:"" group:"people" help:"Add, list and disable accounts (customers)."`
	APIKey   apiKeyCmd   `cmd:"" name:"apikey" group:"people" help:"Make, rotate and delete API keys."`
	Client   clientCmd   `cmd:"" group:"people" help:"Add, list and change OAuth clients."`
	Consent  consentCmd  `cmd:"" group:"people" help:"List what users allowed OAuth clients, and take it back."`
	Session  sessionCmd  `cmd:"" group:"people" help:"List sessions and end them."`
	AppToken appTokenCmd `cmd:"" name:"apptoken" group:"people" help:"List application tokens and revoke them."`

	Token      tokenCmd      `cmd:"" group:"tools" help:"Explain a token: what it is, why it is refused."`
	Netosecret netosecretCmd `cmd:"" group:"tools" help:"Decode a NETOSECRET, or sign a request token with it."`
	Contract   contractCmd   `cmd:"" group:"tools" help:"List, show and check contract files."`
	Audit      auditCmd      `cmd:"" group:"tools" help:"Read the audit log and prove it whole."`
	Version    versionCmd    `cmd:"" group:"tools" help:"Print the version."`
}

var groups = []kong.Group{
	{Key: "server", Title: "The server"},
	{Key: "people", Title: "Who may log in"},
	{Key: "tools", Title: "Looking into things"},
	{Key: settingGroup, Title: "Settings"},
}

func newGrammar() *grammar {
	g := &grammar{}
	g.Serve.Plugins = settingPlugins()
	g.Conf.Check.Plugins = settingPlugins()
	g.Conf.Print.Plugins = settingPlugins()
	return g
}

const startPage = `Sallyport gives an HTTP API token authentication in the words its clients
already speak.

Try it, nothing is kept:
  sallyport serve --dev

For real:
  sallyport serve --upstream http://127.0.0.1:3000     data in ./sallyport-data
  sallyport user add alice                             asks for a password

Then:
  sallyport user list            sallyport session list
  sallyport status               sallyport token inspect < token.txt

All commands: sallyport --help     One command: sallyport user add --help
`
