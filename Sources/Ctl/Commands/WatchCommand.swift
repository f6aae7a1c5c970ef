import ArgumentParser
import ClusterModel
import JSON
import Ports
import Synchronization

/// `watch`: clusters as they are now, on a screen that keeps up.
struct WatchCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "watch", "Shows clusters and what happens on them, until q or Ctrl-C.",
            examples: ["watch batman", "watch batman robin --interval 1"])
    }

    @OptionGroup var group: GroupOption

    @Option(help: "How many seconds pass until the store is asked again.")
    var interval = 2.0

    @Argument(help: "The clusters; the one of the configuration where none is named.")
    var clusterNames: [String] = []

    func run(_ session: Session) async throws {
        guard session.terminal.isTerminal else {
            throw CtlError.refused("watch needs a terminal; events and list -W write to pipes as well")
        }
        let names = clusterNames.isEmpty ? [try session.clusterName(nil)] : clusterNames
        let board = WatchBoard(session.now)
        // A line on standard error would stand in the middle of the screen.
        let quiet = session.warning { board.add($0) }
        let clusters = try names.map { try Cluster($0, group: group.number, quiet) }
        let feed = WatchFeed(clusters, try MemberClient(quiet), quiet, board)
        let pause = Duration.seconds(min(max(interval, 0.2), 3600))
        session.terminal.holdScreen(true)
        defer { session.terminal.holdScreen(false) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await feed.run(every: pause) }
            try await Self.show(board, every: pause, session)
            group.cancelAll()
        }
    }

    /// How soon a screen of another size is drawn anew, and how often it is looked whether there is something new.
    private static let glance = Duration.milliseconds(200)

    /// Draws what is new, and moves it as keys say, until it is left. Whether the store answers or not, a key does.
    private static func show(_ board: WatchBoard, every pause: Duration, _ session: Session) async throws {
        let terminal = session.terminal
        var offset = 0
        var drawn: (frame: String, columns: Int?, lines: Int?) = ("", nil, nil)
        while true {
            var screen = try board.screen(now: session.now, patience: pause + patience)
            screen.offset = offset
            let (columns, lines) = (terminal.columns, terminal.lines)
            let next = (screen.frame(columns: columns, lines: lines), columns, lines)
            // A terminal of another size may have moved what stood there.
            if next != drawn { terminal.write(next.0) }
            drawn = next
            guard let key = await terminal.readKey(within: glance) else { continue }
            if key == UInt8(ascii: "q") { return }
            screen.move(key, lines: lines)
            offset = screen.offset
        }
    }

    /// A round takes its time; what is older than one and this is told to be.
    private static let patience = Duration.seconds(3)
}

/// Reads the clusters, and follows what happens on their members.
private struct WatchFeed: Sendable {
    private let clusters: [Cluster]
    private let client: MemberClient
    private let session: Session
    private let board: WatchBoard

    init(_ clusters: [Cluster], _ client: MemberClient, _ session: Session, _ board: WatchBoard) {
        self.clusters = clusters
        self.client = client
        self.session = session
        self.board = board
    }

    func run(every pause: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            var followed: Set<String> = []
            while !Task.isCancelled {
                let next = session.now + pause
                var pictures: [ClusterPicture] = []
                do {
                    for cluster in clusters { pictures.append(try await cluster.load()) }
                } catch {
                    board.fail(error)
                    break
                }
                for (place, member) in pictures.flatMap(WatchPlace.all) where member.ownVersion != nil {
                    guard let url = member.apiURL, followed.insert(url).inserted else { continue }
                    let name = place.name(among: clusters.count)
                    group.addTask { [client, session, board] in
                        await MemberEvents.follow(member, client, session) { board.add($0.text(as: name)) }
                    }
                }
                let guardians = await guardians(pictures)
                board.show(pictures, guardians, at: session.now, LocalTime.seconds(session.wallTime))
                await session.pause(max(.zero, next - session.now))
            }
            group.cancelAll()
        }
    }

    private static let patience = Duration.seconds(1)

    /// What the members say of their guardians.
    private func guardians(_ pictures: [ClusterPicture]) async -> [WatchPlace: JSONObject] {
        await withTaskGroup(of: (WatchPlace, JSONObject?).self) { group in
            for (place, member) in pictures.flatMap(WatchPlace.all) where member.ownVersion != nil {
                group.addTask { [client] in
                    let answer = try? await client.send("GET", "patroni", to: member, within: Self.patience)
                    return (place, answer?.json?["guardian"]?.object)
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }
}

/// What is there to be shown.
private final class WatchBoard: Sendable {
    private struct State {
        var time = ""
        var readAt: BootInstant
        var pictures: [ClusterPicture] = []
        var guardians: [WatchPlace: JSONObject] = [:]
        /// The oldest first.
        var events: [String] = []
        var failure: (any Error)?
    }

    private static let countMax = 100
    private let state: Mutex<State>

    init(_ now: BootInstant) { state = Mutex(State(readAt: now)) }

    func add(_ line: String) {
        state.withLock { state in
            state.events.append(line)
            state.events.removeFirst(max(0, state.events.count - Self.countMax))
        }
    }

    func show(
        _ pictures: [ClusterPicture], _ guardians: [WatchPlace: JSONObject], at now: BootInstant, _ time: String
    ) {
        state.withLock { state in
            (state.pictures, state.guardians) = (pictures, guardians)
            (state.readAt, state.time) = (now, time)
        }
    }

    func fail(_ error: any Error) { state.withLock { $0.failure = error } }

    /// What is shown now; throws what ended the reading.
    func screen(now: BootInstant, patience: Duration) throws -> WatchScreen {
        let state = state.withLock { $0 }
        if let failure = state.failure { throw failure }
        let age = now - state.readAt
        return WatchScreen(
            time: state.time, pictures: state.pictures, guardians: state.guardians, events: state.events,
            secondsOld: age > patience ? age.components.seconds : nil)
    }
}
