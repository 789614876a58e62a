// Package cluster runs a highly available PostgreSQL as operators do, small
// and on loopback alone: etcd, members under Patroni, and HAProxy in front of
// whichever of them is the primary.
//
// How the pieces move. Start makes one folder with everything in it: data,
// sockets, logs, configuration. All programs are Debian's; as root they run as
// the user postgres, since PostgreSQL refuses root. A small shell waits for our
// end of a pipe to close, so however this process ends, the programs end too
// and the folder goes. Kill is SIGKILL to everything a member is made of, Heal
// starts it again, AwaitHealthy waits until a synchronous standby follows, for
// without one a failover may lose what it likes.
//
// It tunes nothing for safety that Patroni does not say itself; only the
// timeouts are short, so that twenty failovers take minutes.
package cluster
