"""Tests in real containers, by Debian's podman and runc: `make test-containers`, as root."""
