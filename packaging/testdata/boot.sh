# Boots systemd as the first process of namespaces of its own, over a copy of
# the machine's file system that is thrown away, with the unit of the test.
# Run as root in a mount namespace: sh boot.sh FOLDER BINARY UNIT LISTEN PRIVATE
set -e
folder=$1
mount --make-rprivate /
mkdir -p $folder/cgroup
mount -t cgroup2 none $folder/cgroup
group=$folder/cgroup/sallyport-test-$$
mkdir $group

clean() {
	for _ in $(seq 100); do
		find $group -depth -type d -exec rmdir {} + 2>/dev/null || true
		[ -d $group ] || return 0
		sleep 0.1
	done
}
trap 'kill -KILL $inner 2>/dev/null; wait $inner 2>/dev/null || true; clean' EXIT
trap 'exit 0' TERM INT

# The new cgroup namespace begins at the group; its maker must not stay there,
# or no controller can be turned on.
cat >$folder/enter.sh <<'EOF'
echo 0 >$1/cgroup.procs
exec unshare --cgroup sh -ec 'echo 0 >'$(dirname $1)'/cgroup.procs; exec unshare --mount --pid --fork --ipc --uts --kill-child sh '"$2/init.sh"
EOF
cat >$folder/init.sh <<EOF
set -e
echo 0 >$group/cgroup.procs
disk=$folder/disk; root=\$disk/root
mkdir \$disk
mount -t tmpfs none \$disk
mkdir \$disk/upper \$disk/work \$root
mount -t overlay none -o lowerdir=/,upperdir=\$disk/upper,workdir=\$disk/work \$root
# What belongs to the machine is there to be read, so that no service of
# systemd's own changes it.
mount -t proc none \$root/proc
mount --bind \$root/proc/sys \$root/proc/sys
mount -o remount,bind,ro \$root/proc/sys
mount -t sysfs -o ro none \$root/sys
mount -t cgroup2 none \$root/sys/fs/cgroup
mount -t tmpfs none \$root/run
mount -t tmpfs none \$root/tmp
mount -t tmpfs -o mode=755 none \$root/dev
for n in null zero full random urandom tty; do
	touch \$root/dev/\$n
	mount --bind /dev/\$n \$root/dev/\$n
done
mkdir \$root/dev/shm \$root/dev/pts \$root/dev/mqueue \$root/dev/hugepages
mount -t devpts none \$root/dev/pts
ln -s pts/ptmx \$root/dev/ptmx
units=\$root/etc/systemd/system
rm -rf \$units/*.wants \$units/*.requires
install -m 755 $2 \$root/usr/local/bin/sallyport
install -m 644 $3 \$units/sallyport.service
mkdir -p \$units/sallyport.service.d
cat >\$units/sallyport.service.d/test.conf <<EOC
[Service]
Environment=SALLYPORT_LISTEN=$4 SALLYPORT_PRIVATE_LISTEN=$5
EOC
printf '[Unit]\nWants=sallyport.service\n' >\$units/test.target
export container=other
cd \$root
mkdir -p oldroot
pivot_root . oldroot
umount -l /oldroot
exec /lib/systemd/systemd --system --unit=test.target --show-status=no
EOF
sh -e $folder/enter.sh $group $folder </dev/null &
inner=$!
wait $inner
