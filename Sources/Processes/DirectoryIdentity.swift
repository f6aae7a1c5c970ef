import Glibc

/// What a directory is, whatever it is called.
public struct DirectoryIdentity: Sendable, Hashable {
    private var device: dev_t = 0
    private var inode: ino_t = 0

    /// Of what `path` leads to; nil where that is no directory.
    public init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
        (device, inode) = (status.st_dev, status.st_ino)
    }

    /// Of an open one.
    public init?(_ descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        (device, inode) = (status.st_dev, status.st_ino)
    }
}
