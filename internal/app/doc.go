// Package app wires the parts into one value: New opens what is there, Run
// serves until its context ends, Close lets go. The command line and the
// end-to-end tests start the same value.
//
// The pieces move like this. openEngine opens data directory, master key,
// keyring, core.Service and authserver.Server; loadMounts compiles contract
// files and registers each mount with the service; routes puts contracts, our
// own paths and the gateway on one public handler; New gives all of it to httpd.
// Nothing here decides anything about a credential.
package app
