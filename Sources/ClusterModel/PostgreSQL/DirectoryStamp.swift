/// What a data directory was known by when its server was down and it was looked at: with it a server that was started
/// since is recognised as one of that directory, and of that content. Another may have been put in its place between
/// the look and the start.
public struct DirectoryStamp: Sendable, Hashable {
    /// A file or a directory, whatever it is called.
    public struct Identity: Sendable, Hashable {
        public var device: UInt64
        public var inode: UInt64

        public init(device: UInt64, inode: UInt64) {
            self.device = device
            self.inode = inode
        }
    }

    public var directory: Identity
    public var controlFile: Identity
    /// The beginning of `global/pg_control`: system identifier, state, time, and where the last checkpoint is. Its
    /// layout has been the same in all versions of PostgreSQL that run.
    public var control: [UInt8]
    /// No WAL stands beyond this; nil where it is not known.
    public var walEnd: WALPosition?

    /// In bytes.
    public static let controlSize = 40

    public init(directory: Identity, controlFile: Identity, control: [UInt8], walEnd: WALPosition? = nil) {
        self.directory = directory
        self.controlFile = controlFile
        self.control = control
        self.walEnd = walEnd
    }

    /// Where the last checkpoint began.
    public var checkpoint: WALPosition {
        guard control.count >= Self.controlSize else { return .zero }
        return WALPosition(control.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 32, as: UInt64.self) })
    }

    private var systemIdentifier: ArraySlice<UInt8> { control.prefix(8) }

    /// Why a server works on something else than what was looked at; nil where it does not. `now` is what it works on,
    /// seen after it had begun to: from then on it writes there itself, and checkpoints go forward only.
    public func replaced(by now: DirectoryStamp) -> String? {
        if now.directory != directory { return "another directory has taken its place" }
        if now.controlFile != controlFile { return "another control file has taken the place of its own" }
        if now.systemIdentifier != systemIdentifier { return "its control file is another cluster's" }
        if now.checkpoint < checkpoint {
            return "its last checkpoint is at \(now.checkpoint), and was at \(checkpoint)"
        }
        // The server has not come to write anything: not a byte may be missing.
        if now.control == control, let walEnd, let found = now.walEnd, found < walEnd {
            return "its WAL ends at \(found), and went on to \(walEnd)"
        }
        return nil
    }
}
