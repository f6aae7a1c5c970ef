extension PostgreSQLStatus {
    /// What was under way in the data directory and was broken off; only that, or a new copy, may follow (S11).
    public enum UnfinishedWork: Sendable, Hashable {
        /// A new cluster that was not made, or not published: nobody else knows of it. Moved aside.
        case bootstrap
        /// The same of one that a command of the operator's has not made to its end. That its identifier is published
        /// says nothing: whoever restores the same backup has it. Moved aside in any case.
        case restore
        /// A removal, or the base backup after it. `dataDirectory` is `.empty` then: what stands there is half of
        /// something, and goes before the next copy.
        case copy
        /// pg_rewind had begun to write: rewound again, or replaced by a copy.
        case rewind

        /// For the log.
        public var name: String {
            switch self {
            case .bootstrap, .restore: "an unfinished bootstrap"
            case .copy: "an unfinished copy or removal"
            case .rewind: "an unfinished pg_rewind"
            }
        }

        /// A new cluster that nobody but this node has, or that is no whole one: it is moved aside, not gone on with.
        public var isBootstrap: Bool {
            switch self {
            case .bootstrap, .restore: true
            case .copy, .rewind: false
            }
        }

        /// What stands in the directory, and outside of it where its mark leads to, is half of something that was made
        /// here: what comes next has its places, and what it has left there. A rewound one has been whole.
        public var isHalf: Bool {
            switch self {
            case .bootstrap, .restore, .copy: true
            case .rewind: false
            }
        }
    }
}
