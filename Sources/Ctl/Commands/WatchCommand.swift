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
        let clusters = try names.map { try Cluster($0, group: group.number, session) }
        let pause = Duration.seconds(min(max(interval, 0.2), 3600))
        session.terminal.holdScreen(true)
        defer { session.terminal.holdScreen(false) }
        let client = try MemberClient(session)
        let seen = SeenEvents()
        try await withThrowingTaskGroup(of: Void.self) { group in
            var followed: Set<String> = []
            var offset = 0
            while true {
                var pictures: [ClusterPicture] = []
                for cluster in clusters { pictures.append(try await cluster.load()) }
                for member in pictures.flatMap({ $0.members(.any) }) where member.ownVersion != nil {
                    guard let url = member.apiURL, followed.insert(url).inserted else { continue }
                    group.addTask { await MemberEvents.follow(member, client, session) { seen.add($0.text) } }
                }
                let guards = await Self.guardians(pictures, client)
                var screen = WatchScreen(
                    time: LocalTime.seconds(session.wallTime), pictures: pictures, guardians: guards,
                    events: seen.last)
                screen.offset = offset
                let isGoingOn = await Self.show(&screen, until: session.now + pause, session)
                offset = screen.offset
                if !isGoingOn { break }
            }
            group.cancelAll()
        }
    }

    /// Shows it and moves it as keys say; false where it is left.
    private static func show(_ screen: inout WatchScreen, until end: BootInstant, _ session: Session) async -> Bool {
        let terminal = session.terminal
        while true {
            terminal.write(screen.frame(columns: terminal.columns, lines: terminal.lines))
            guard let key = await terminal.readKey(within: end - session.now) else { return true }
            if key == UInt8(ascii: "q") { return false }
            screen.move(key, lines: terminal.lines)
        }
    }

    private static let patience = Duration.seconds(1)

    /// What the members say of their guardians.
    private static func guardians(_ pictures: [ClusterPicture], _ client: MemberClient) async -> [String: JSONObject] {
        await withTaskGroup(of: (String, JSONObject?).self) { group in
            for member in pictures.flatMap({ $0.members(.any) }) where member.ownVersion != nil {
                group.addTask {
                    let answer = try? await client.send("GET", "patroni", to: member, within: patience)
                    return (member.name, answer?.json?["guardian"]?.object)
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }
}

/// The last events of all members.
private final class SeenEvents: Sendable {
    private static let countMax = 100
    private let lines = Mutex<[String]>([])

    var last: [String] { lines.withLock { $0 } }

    func add(_ line: String) {
        lines.withLock { lines in
            lines.append(line)
            lines.removeFirst(max(0, lines.count - Self.countMax))
        }
    }
}

/// One picture of the screen; pure.
struct WatchScreen: Sendable {
    let time: String
    let pictures: [ClusterPicture]
    /// By the name of the member.
    let guardians: [String: JSONObject]
    /// The oldest first.
    let events: [String]

    /// How many lines are above the screen, where there are more than fit.
    var offset = 0

    /// What is drawn from the upper left corner on: every line is cut to the screen and clears what stood behind it.
    func frame(columns: Int?, lines: Int?) -> String {
        let (width, height) = (columns ?? 80, lines ?? Self.usualHeight)
        var shown = ["\(Program.name) \(time)    q ends"]
        let rows = rows
        // The newest events fill what is left.
        if let room = room(lines, rows.count) {
            let first = min(offset, rows.count - room)
            shown += rows[first..<first + room]
            shown.append("... lines \(first + 1) to \(first + room) of \(rows.count): j, k, space and b move")
        } else {
            shown += rows + events.suffix(max(0, height - rows.count - 2))
        }
        let text = shown.map { String($0.prefix(width)) + "\u{1B}[K" }.joined(separator: "\r\n")
        return "\u{1B}[H\(text)\u{1B}[J"
    }

    /// A key moves what does not fit: a line, or a screen. The arrows are known by their last byte.
    mutating func move(_ key: UInt8, lines: Int?) {
        let count = rows.count
        guard let room = room(lines, count) else { return }
        let step =
            switch key {
            case UInt8(ascii: "j"), UInt8(ascii: "B"): 1
            case UInt8(ascii: "k"), UInt8(ascii: "A"): -1
            case UInt8(ascii: " "): room
            case UInt8(ascii: "b"): -room
            default: 0
            }
        offset = max(0, min(min(offset, count - room) + step, count - room))
    }

    private static let usualHeight = 24

    private var rows: [String] {
        pictures.flatMap { picture in
            MemberListing(picture, .format(.pretty)).text.split(separator: "\n").map(String.init)
                + picture.members(.any).compactMap { member in guardians[member.name].map { line(member, $0) } }
        }
    }

    /// How many of `count` rows are shown at once, between the line above and the one below; nil where all fit.
    private func room(_ lines: Int?, _ count: Int) -> Int? {
        let height = lines ?? Self.usualHeight
        return count + 1 < height ? nil : min(count, max(1, height - 2))
    }

    private func line(_ member: Member, _ guardian: JSONObject) -> String {
        let isArmed = guardian["armed"]?.bool == true
        let lease = guardian["lease_remaining_seconds"].map { ", lease \(PythonText.text($0)) s" } ?? ""
        return " \(member.name): guardian \(isArmed ? "armed" : "not armed")\(isArmed ? lease : "")"
    }
}
