import Glibc
import Posix

/// A stopped cluster as it stood when its replacement began: what it has, and a sum by which it is known again.
struct StandingCluster: Sendable, Hashable {
    /// Everything that counts as the directory's content, with the inodes.
    var entries: [String: UInt64] = [:]
    /// Over the names, inodes, sizes and times of all that belongs to a cluster. Where it is the same still, nobody has
    /// written, restored or started anything there.
    var sum = Sum()
    /// What it takes on the disk, but for its WAL, which no copy brings.
    var bytes: Int64 = 0
    /// Entries in which another file system is mounted: they cannot be renamed.
    var mounts: [String] = []

    /// FNV-1a, 64 bits.
    struct Sum: Sendable, Hashable {
        private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

        mutating func add(_ bytes: some Sequence<UInt8>) {
            for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }

        mutating func add(_ number: some FixedWidthInteger) {
            withUnsafeBytes(of: Int64(truncatingIfNeeded: number)) { add($0) }
        }
    }
}

extension DataDirectory {
    /// What stands there now. Reads every directory; ends soon after a cancellation.
    func standing() throws(SystemError) -> StandingCluster {
        var found = StandingCluster()
        for name in try contents() {
            let entry = "\(path)/\(name)"
            found.entries[name] = Files.inode(entry)
            if Files.isMountPoint(entry) { found.mounts.append(name) }
            try add(entry, isOfCluster: Self.isOfCluster(name), isWAL: name == "pg_wal", to: &found)
        }
        return found
    }

    private func add(
        _ path: String, isOfCluster: Bool, isWAL: Bool, to found: inout StandingCluster
    ) throws(SystemError) {
        if Task.isCancelled { throw SystemError(call: "stat", subject: path, code: ECANCELED) }
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw SystemError(call: "stat", subject: path)
        }
        if !isWAL { found.bytes += Int64(status.st_blocks) * 512 }
        if isOfCluster {
            found.sum.add(lastComponent(path).utf8)
            found.sum.add(status.st_ino)
            found.sum.add(status.st_size)
            // Not when owner and mode were set: configuration tools do that again and again.
            found.sum.add(status.st_mtim.tv_sec)
            found.sum.add(status.st_mtim.tv_nsec)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { return }
        for name in try Files.list(path) {
            try add("\(path)/\(name)", isOfCluster: isOfCluster, isWAL: isWAL, to: &found)
        }
    }
}

/// Whether a cluster can stay where it stands until the copy that replaces it is complete. Pure.
struct RoomForBoth: Sendable, Hashable {
    /// Directories outside that the copy fills, or that the one that stands there has parts in. They are in use: their
    /// names are taken, and no mark tells what of them is whose.
    var outside: [String] = []
    var mounts: [String] = []
    /// Whether the source has said where its tablespaces are.
    var knowsTablespaces = true
    /// What the copy needs on the disk, and what is left there; nil where it is not known.
    var needed: Int64
    var available: Int64?
    /// What an earlier attempt has shown.
    var refusal: String?

    /// What others, and the WAL that comes while the copy is made, need besides.
    static let least: Int64 = 1 << 30

    var reserve: Int64 { Self.least + needed / 10 }

    /// Whether pg_basebackup, whose output in the C locale this is, could not write here. What its source could not do
    /// it tells as that one's error.
    static func isFilled(by output: String) -> Bool {
        output.split(separator: "\n").contains { line in
            !line.contains("ERROR:") && !line.contains("FATAL:")
                && (line.contains("No space left on device") || line.contains("Disk quota exceeded"))
        }
    }

    /// Why it must go first; nil where it can stay.
    var obstacle: String? {
        if let refusal { return refusal }
        if let place = outside.first { return "\(place) is outside of it, and holds one of the two" }
        if let mount = mounts.first { return "another file system is mounted at \(mount)" }
        if !knowsTablespaces { return "where the source's tablespaces are is not known" }
        guard let available else { return "how much of its file system is free is not known" }
        let (total, isTooLarge) = needed.addingReportingOverflow(reserve)
        if !isTooLarge, available >= total { return nil }
        return "a copy of \(needed >> 20) MB and a reserve of \(reserve >> 20) MB do not fit into the "
            + "\(available >> 20) MB that are free"
    }
}
