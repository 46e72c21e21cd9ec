/*
 * The least a guest can do: as init, one byte to the port that it is given, and the
 * end of the guest. What comes before is the kernel's own boot.
 *
 *   first PORT
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int port;

	mount("devtmpfs", "/dev", "devtmpfs", 0, 0);
	port = open(argc > 1 ? argv[1] : "/dev/vport0p1", O_WRONLY | O_NOCTTY);
	if (port < 0 || write(port, "\n", 1) != 1)
		return 1;
	/* Until the host has seen it: what ends the guest is not measured. */
	for (;;)
		pause();
}
