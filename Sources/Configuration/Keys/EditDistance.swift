/// How many letters must change to make one word of another.
public enum EditDistance {
    /// The word of `words` that is nearest to `word`; nil where even that is another word altogether.
    public static func nearest(_ word: String, among words: Set<String>) -> String? {
        let ranked = words.map { (distance: between(word, $0), word: $0) }
        guard let best = ranked.min(by: { ($0.distance, $0.word) < ($1.distance, $1.word) }) else { return nil }
        return best.distance <= max(1, word.count / 3) ? best.word : nil
    }

    /// Insertions, deletions, replacements, and swaps of neighbours.
    static func between(_ left: String, _ right: String) -> Int {
        // Names are short; a long key is cut so that the table stays small.
        let left = Array(left.utf8.prefix(64))
        let right = Array(right.utf8.prefix(64))
        var rows = [Array(0...right.count)]
        for i in 0..<left.count {
            var row = [i + 1]
            for j in 0..<right.count {
                let replaced = rows[i][j] + (left[i] == right[j] ? 0 : 1)
                var best = min(rows[i][j + 1] + 1, row[j] + 1, replaced)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    best = min(best, rows[i - 1][j - 1] + 1)
                }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
