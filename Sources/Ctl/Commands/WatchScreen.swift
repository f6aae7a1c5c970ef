import ClusterModel

/// One picture of the screen; pure.
struct WatchScreen: Sendable {
    let time: String
    let pictures: [ClusterPicture]
    let guardians: [WatchPlace: JSONObject]
    /// The oldest first.
    let events: [String]
    /// Since when nothing was heard of the store, where that is long.
    var secondsOld: Int64?

    /// How many lines are above the screen, where there are more than fit.
    var offset = 0

    /// What is drawn from the upper left corner on: every line is cut to the screen and clears what stood behind it.
    func frame(columns: Int?, lines: Int?) -> String {
        let (width, height) = (columns ?? 80, lines ?? Self.usualHeight)
        let silence = secondsOld.map { "    the store has not answered for \($0) s" } ?? ""
        var shown = ["\(Program.name) \(time)    q ends\(silence)"]
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
                + WatchPlace.all(picture).compactMap { row in
                    guardians[row.place].map { line(row.place.inCluster, $0) }
                }
        }
    }

    /// How many of `count` rows are shown at once, between the line above and the one below; nil where all fit.
    private func room(_ lines: Int?, _ count: Int) -> Int? {
        let height = lines ?? Self.usualHeight
        return count + 1 < height ? nil : min(count, max(1, height - 2))
    }

    private func line(_ name: String, _ guardian: JSONObject) -> String {
        let isArmed = guardian["armed"]?.bool == true
        let lease = guardian["lease_remaining_seconds"].map { ", lease \(PythonText.text($0)) s" } ?? ""
        return " \(name): guardian \(isArmed ? "armed" : "not armed")\(isArmed ? lease : "")"
    }
}

/// Whose line it is on a screen of several clusters.
struct WatchPlace: Sendable, Hashable {
    let cluster: String
    /// Of a cluster of Citus, where all groups are shown.
    let group: Int?
    let member: String

    static func all(_ picture: ClusterPicture) -> [(place: WatchPlace, member: Member)] {
        let shows = picture.isCitus && picture.group == nil
        return picture.groups.flatMap { group in
            group.view.members.map {
                (WatchPlace(cluster: picture.name, group: shows ? group.number : nil, member: $0.name), $0)
            }
        }
    }

    /// How it is called below the table of its cluster.
    var inCluster: String { (group.map { "group \($0) " } ?? "") + member }

    func name(among clusters: Int) -> String { clusters > 1 ? "\(cluster) \(inCluster)" : inCluster }
}
