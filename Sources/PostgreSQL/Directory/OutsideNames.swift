import ClusterModel
import Posix

/// What a cluster has outside its data directory, by its names. A directory that a link leads to may be shared: the
/// clusters of two versions have their parts of a tablespace's (pg_upgrade leaves it so), and an operator may keep
/// something on the volume. Only what bears a name of ours is ours to remove or to move. Pure.
enum OutsideNames {
    typealias Version = (major: Int, catalogue: UInt32?)

    /// `PG_15_202209061`: PostgreSQL lets one cluster of a version into a tablespace's directory. Where the catalogue's
    /// version is not known the major version decides; where that is not known, nothing is ours.
    static func isTablespace(_ name: String, of version: Version) -> Bool {
        guard version.major > 0 else { return false }
        let prefix = "PG_\(version.major)_"
        if let catalogue = version.catalogue { return name == prefix + String(catalogue) }
        let rest = name.utf8.dropFirst(prefix.utf8.count)
        return name.hasPrefix(prefix) && !rest.isEmpty && rest.allSatisfy(isDigit)
    }

    /// What a server, pg_basebackup and initdb put into `pg_wal`.
    static func isWAL(_ name: String) -> Bool {
        let directories: Set = ["archive_status", "summaries"]
        if directories.contains(name) || name == "RECOVERYXLOG" || name == "RECOVERYHISTORY" { return true }
        if name.hasPrefix("xlogtemp.") { return true }
        let number = name.utf8.prefix { isHexadecimal($0) }.count
        let ending = name.utf8.dropFirst(number)
        switch number {
        // A timeline's history.
        case 8: return ending.elementsEqual(".history".utf8) || ending.elementsEqual(".history.tmp".utf8)
        // A segment, whole, half received, or where a backup of it began.
        case 24:
            return ending.isEmpty || ending.elementsEqual(".partial".utf8) || isBackup(ending)
        default: return false
        }
    }

    /// `.00000028.backup`.
    private static func isBackup(_ ending: Substring.UTF8View) -> Bool {
        let inner = ending.dropFirst().prefix(8)
        return ending.first == UInt8(ascii: ".") && inner.count == 8 && inner.allSatisfy(isHexadecimal)
            && ending.dropFirst(9).elementsEqual(".backup".utf8)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte)
    }
}

extension DataDirectory {
    /// Of the cluster that stands there; a major version of 0 where none does.
    var ownVersion: OutsideNames.Version { (version / 10000, catalogueVersion) }

    /// The control file's fourth number of four bytes, in every version: the catalogue's, which is a date and a digit.
    private var catalogueVersion: UInt32? {
        guard let bytes = try? Files.read(controlFile, limit: 64 << 10), bytes.count >= 16 else { return nil }
        let found = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 12, as: UInt32.self) }
        return (200_000_000..<300_000_000).contains(found) ? found : nil
    }
}
