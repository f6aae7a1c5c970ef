import ClusterModel

/// What goes wrong, when, and for how long. A world is its seed, its size and its faults: removing one gives a smaller
/// world.
public struct Fault: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        // MARK: Processes
        /// Daemon and PostgreSQL of a node at once; both come back later.
        case killNode(Int)
        /// All hosts at once, and what the store knew; they come back one after another.
        case loseSite
        /// The leader's host, and the disk of a member that `/sync` names, which comes back out of a backup.
        case loseVoter
        /// PostgreSQL alone.
        case killPostgreSQL(Int)
        /// The daemon alone: PostgreSQL goes on without it.
        case killDaemon(Int)
        /// The daemon does nothing for a while and then goes on as if nothing had been.
        case freezeDaemon(Int)
        /// The whole host stands still; CLOCK_BOOTTIME goes on.
        case suspendHost(Int)
        /// PostgreSQL's process is there, and it answers nothing.
        case hangPostgreSQL(Int)
        /// The checkpointer does nothing: it was stopped, or waits in the kernel for a disk that is dead.
        case hangCheckpointer(Int, inKernel: Bool)
        /// Commits wait for the disk, and operations take long.
        case stallDisk(Int)
        /// Operations upon PostgreSQL do not return, and what is begun meanwhile does nothing; only a stop by force
        /// asks no disk.
        case blockOperations(Int)
        /// PostgreSQL starts and stops slowly.
        case slowOperations(Int)
        /// The wall clock steps.
        case stepClock(Int, seconds: Int)
        /// The daemon gets a moment of a processor now and then: up to so long passes between any two of its steps.
        case starveDaemon(Int, milliseconds: Int)

        // MARK: Files, and who watches over them
        /// The data directory goes, whether a server runs in it or not. `sessionsGoOn`: those that are there still
        /// answer, out of files that nobody can open any more.
        case removeDirectory(Int, sessionsGoOn: Bool)
        /// PostgreSQL does not start: WAL is missing, a parameter is refused, the disk is full.
        case failStarts(Int)
        /// The node's `pre_promote` says no, or says nothing and has to be killed.
        case refusePromotions(Int, hangs: Bool)
        /// What the node runs at the end of recovery ends its server, after the new timeline has begun.
        case crashPromotions(Int)
        /// No method makes a copy on the node; what stood there is gone by then.
        case failCopies(Int)
        /// The guardian is killed, and what it guards with it; it is there again with the next server.
        case killGuardian(Int)
        /// The guardian takes orders or not, and says nothing of it.
        case deafenGuardian(Int)
        /// The guardian does nothing at all; the kernel ends it, and its server, when the lease that it knows does.
        case freezeGuardian(Int)
        /// The leader's daemon dies, and the next one looks into another directory, where nothing is; the server
        /// goes on in the first one, under its own guardian.
        case moveDirectory(Int)
        /// pg_rewind finds in the directory that it cannot mend it, until a copy takes its place.
        case refuseRewinds(Int)
        /// All connections are taken: who is connected works on, and nobody new is let in.
        case fillConnections(Int)

        // MARK: Network
        /// A node and the store, both ways.
        case isolateFromStore(Int)
        /// What a node asks of the store is done, and the answers are lost.
        case loseAnswers(Int)
        /// Two nodes from each other: peers' questions and streaming.
        case partition(Int, Int)
        /// What members say to each other of failsafe mode comes up to so much later.
        case slowPeers(milliseconds: Int)
        /// A node from everything.
        case isolate(Int)
        /// A standby receives WAL this much late.
        case slowReplication(Int, milliseconds: Int)
        /// A standby replays this much later than it receives.
        case slowReplay(Int, milliseconds: Int)

        // MARK: Store
        case storeOutage
        /// The store elects a leader: nobody is answered for a moment, and every lease begins anew.
        case storeElection
        /// Every request to the store takes this much longer.
        case slowStore(milliseconds: Int)
        /// The store has no room left: it takes nothing that it would have to keep.
        case fillStore
        /// One request in so many is lost, or comes late.
        case lossyStore(oneIn: Int)
        /// The member of the store that a node reads from lags behind.
        case staleReads(Int, milliseconds: Int)
        /// The watch of a node tells nothing.
        case muteWatch(Int)
        /// The watch of a node repeats everything, late and out of order.
        case repeatWatch(Int)
        /// What a node sends reaches the store this much later, also after the node has given up waiting.
        case lateRequests(Int, milliseconds: Int)
        /// A key is what no program of the cluster wrote.
        case spoilKey(Leaf, Spoiling)
        /// The watch of a node was compacted: it hears that events are gone.
        case compactWatch(Int)

        /// One of the store's three endpoints does not answer, or something else does in its place.
        case spoilEndpoint(Int, Ailment)
        /// The store is set back to what it was at the beginning of the fault when that is over.
        case restoreStore(isSameCluster: Bool)
        /// The store loses all that it knows.
        case forgetStore(isSameCluster: Bool)

        // MARK: Operators
        /// A switchover away from the leader, to a node or to any.
        case switchover(to: Int?)
        /// A failover to a node, whoever leads.
        case failover(to: Int)
        /// Maintenance mode; over when the fault is.
        case pause
        case editTTL(seconds: Int)
        case editMaximumLag(bytes: Int)
        case editSynchronous(World.SynchronousConfiguration)
        /// `pg_ctl restart` by hand.
        case restartPostgreSQL(Int)
        /// SIGTERM for the daemon; systemd starts it again.
        case restartDaemon(Int)
        /// A standby is taken down, and its data directory is removed.
        case reinitialise(Int)
        /// All restart, one after another; one that was stopped may go on.
        case rollingRestart
        /// The cluster is to follow a primary elsewhere, where nobody answers; over when the fault is.
        case followElsewhere
    }

    /// A key that somebody spoils. The leader's is not among them: who deletes that by hand has called an election.
    public enum Leaf: Sendable, Hashable {
        case config, initialize, status, failover
        case member(Int)
    }

    /// What becomes of a spoilt key.
    public enum Spoiling: String, Sendable, Hashable, CaseIterable {
        case deleted
        /// What no program can read.
        case garbled
        /// What another cluster would write; back again when the fault is over.
        case foreign
    }

    /// What is wrong with an endpoint of the store.
    public enum Ailment: String, Sendable, Hashable, CaseIterable {
        /// No answer, and no connection.
        case silent, closed
        /// A proxy's page, and errors that no etcd says.
        case page, notFound, internalError
        /// An etcd of another cluster, which has nothing of ours and lets nobody write.
        case otherCluster
    }

    public var kind: Kind
    /// After the cluster was made.
    public var at: Duration
    /// Until it heals.
    public var lasts: Duration

    public init(_ kind: Kind, at: Duration, lasts: Duration) {
        self.kind = kind
        self.at = at
        self.lasts = lasts
    }
}

extension Fault.Kind {
    /// Whether the node has a `pre_promote` because of it.
    func asksBeforePromotion(of index: Int) -> Bool {
        if case .refusePromotions(index, _) = self { true } else { false }
    }

    /// The nodes that it names.
    public var nodes: [Int] {
        switch self {
        case .killNode(let node), .killPostgreSQL(let node), .killDaemon(let node), .freezeDaemon(let node),
            .suspendHost(let node), .hangPostgreSQL(let node), .stallDisk(let node), .slowOperations(let node),
            .blockOperations(let node), .stepClock(let node, _), .starveDaemon(let node, _),
            .removeDirectory(let node, _), .failStarts(let node), .refusePromotions(let node, _),
            .failCopies(let node), .crashPromotions(let node), .hangCheckpointer(let node, _),
            .killGuardian(let node), .deafenGuardian(let node), .freezeGuardian(let node), .moveDirectory(let node),
            .refuseRewinds(let node), .fillConnections(let node), .lateRequests(let node, _),
            .isolateFromStore(let node), .loseAnswers(let node), .isolate(let node),
            .slowReplication(let node, _), .slowReplay(let node, _), .staleReads(let node, _), .muteWatch(let node),
            .repeatWatch(let node),
            .compactWatch(let node), .failover(let node), .restartPostgreSQL(let node), .restartDaemon(let node),
            .reinitialise(let node):
            [node]
        case .partition(let left, let right): [left, right]
        case .switchover(let node): node.map { [$0] } ?? []
        case .spoilKey(.member(let node), _): [node]
        case .storeOutage, .storeElection, .fillStore, .slowStore, .slowPeers, .lossyStore, .pause, .editTTL,
            .editMaximumLag,
            .editSynchronous, .spoilKey, .rollingRestart, .followElsewhere, .loseSite, .loseVoter, .spoilEndpoint,
            .restoreStore,
            .forgetStore:
            []
        }
    }
}

extension Fault: CustomStringConvertible {
    public var description: String { "\(kind) at \(at.inSeconds) s for \(lasts.inSeconds) s" }
}
