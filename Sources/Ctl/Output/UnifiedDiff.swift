/// How two texts differ, line by line, with three lines around each change.
///
/// Lines are matched as Patroni's tool matches them - the longest run that both have, then to its left and its right -
/// so that scripts find the same lines.
struct UnifiedDiff {
    /// Lines with their mark: `---`, `+++`, `@@`, or a blank, `-` or `+`.
    let lines: [String]

    private static let context = 3

    init(_ before: String, _ after: String) {
        let old = Self.split(before)
        let new = Self.split(after)
        var edits: [Edit] = []
        Self.match(old[...], new[...], into: &edits)
        let hunks = Self.hunks(edits)
        lines = hunks.isEmpty ? [] : ["--- ", "+++ "] + hunks.flatMap { Self.text($0, old, new) }
    }

    private static func split(_ text: String) -> [Substring] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    // MARK: Matching

    /// A run of lines that both have, or one that takes the place of another.
    private struct Edit {
        var isEqual: Bool
        var old: Range<Int>
        var new: Range<Int>
    }

    private static func match(_ old: ArraySlice<Substring>, _ new: ArraySlice<Substring>, into edits: inout [Edit]) {
        guard let (start, other, length) = longestRun(old, new) else {
            if !old.isEmpty || !new.isEmpty { edits.append(Edit(isEqual: false, old: old.indices, new: new.indices)) }
            return
        }
        match(old[..<start], new[..<other], into: &edits)
        edits.append(Edit(isEqual: true, old: start..<start + length, new: other..<other + length))
        match(old[(start + length)...], new[(other + length)...], into: &edits)
    }

    /// The first of the longest.
    private static func longestRun(
        _ old: ArraySlice<Substring>, _ new: ArraySlice<Substring>
    ) -> (old: Int, new: Int, length: Int)? {
        var places: [Substring: [Int]] = [:]
        for index in new.indices { places[new[index], default: []].append(index) }
        var best: (old: Int, new: Int, length: Int)?
        var ending: [Int: Int] = [:]
        for index in old.indices {
            var next: [Int: Int] = [:]
            for place in places[old[index]] ?? [] {
                let length = (ending[place - 1] ?? 0) + 1
                next[place] = length
                if length > best?.length ?? 0 { best = (index - length + 1, place - length + 1, length) }
            }
            ending = next
        }
        return best
    }

    // MARK: Hunks

    private static func hunks(_ edits: [Edit]) -> [[Edit]] {
        var hunks: [[Edit]] = []
        var hunk: [Edit] = []
        for (index, edit) in edits.enumerated() {
            guard edit.isEqual else {
                hunk.append(edit)
                continue
            }
            let isFirst = index == 0
            let isLast = index == edits.count - 1
            if !isFirst, !isLast, edit.old.count <= 2 * context {
                hunk.append(edit)
                continue
            }
            if !isFirst {
                hunk.append(Edit(isEqual: true, old: edit.old.prefix(context), new: edit.new.prefix(context)))
                hunks.append(hunk)
            }
            hunk = isLast ? [] : [Edit(isEqual: true, old: edit.old.suffix(context), new: edit.new.suffix(context))]
        }
        if hunk.contains(where: { !$0.isEqual }) { hunks.append(hunk) }
        return hunks.filter { $0.contains { !$0.isEqual } }
    }

    private static func text(_ hunk: [Edit], _ old: [Substring], _ new: [Substring]) -> [String] {
        guard let first = hunk.first, let last = hunk.last else { return [] }
        let spans = [
            span(first.old.lowerBound..<last.old.upperBound), span(first.new.lowerBound..<last.new.upperBound),
        ]
        var lines = ["@@ -\(spans[0]) +\(spans[1]) @@"]
        for edit in hunk {
            if edit.isEqual {
                lines += old[edit.old].map { " \($0)" }
            } else {
                lines += old[edit.old].map { "-\($0)" } + new[edit.new].map { "+\($0)" }
            }
        }
        return lines
    }

    /// `3` for one line, `3,2` for two, `2,0` for none after the second.
    private static func span(_ range: Range<Int>) -> String {
        switch range.count {
        case 1: "\(range.lowerBound + 1)"
        case 0: "\(range.lowerBound),0"
        default: "\(range.lowerBound + 1),\(range.count)"
        }
    }
}
