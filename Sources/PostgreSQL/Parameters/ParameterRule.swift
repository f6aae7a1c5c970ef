import ClusterModel

/// Which parameters of a configuration go into the file of a server, and with which values (postgresql.md §12.6). Pure.
///
/// PostgreSQL refuses a whole file for one value that it cannot read. So a number beyond the bounds becomes the bound,
/// and what is no value of its parameter, or no parameter of this version, is left out: each is told.
enum ParameterRule {
    struct Judgement: Sendable, Hashable {
        var kept = ParameterMap()
        /// In words, one for each that was left out or changed.
        var notes: [Note] = []
        /// Names that the table does not have for this version: they are kept if the server itself lists them.
        var unknown: [String] = []
    }

    struct Note: Sendable, Hashable {
        var parameter: String
        var text: String
    }

    /// What becomes of one value.
    enum Verdict: Sendable, Hashable {
        case kept
        case changed(String, why: String)
        case refused(why: String)
    }

    /// `parameters` for a server of `version` (150006). Those of an extension, with a point in the name, pass; so does
    /// everything where the table does not know the version.
    static func judge(_ parameters: ParameterMap, version: Int) -> Judgement {
        var result = Judgement()
        for entry in parameters.entries {
            guard ConfigurationText.isName(entry.name) else {
                result.notes.append(
                    Note(
                        parameter: entry.name,
                        text: "\(entry.name) is no name of a parameter that PostgreSQL could read: it is left out"))
                continue
            }
            guard version >= ParameterCatalogue.oldest * 10_000, !entry.name.hasByte(".") else {
                result.kept[entry.name] = entry.value
                continue
            }
            guard let kind = ParameterCatalogue.kind(entry.name, version: version) else {
                result.unknown.append(entry.name)
                result.kept[entry.name] = entry.value
                continue
            }
            apply(verdict(entry.value, kind), to: entry, &result)
        }
        return result
    }

    private static func apply(_ verdict: Verdict, to entry: ParameterMap.Entry, _ result: inout Judgement) {
        let shown = "\(entry.name) = \(Secrets.masked(entry.value))"
        switch verdict {
        case .kept: result.kept[entry.name] = entry.value
        case .changed(let value, let why):
            result.kept[entry.name] = value
            result.notes.append(Note(parameter: entry.name, text: "\(shown) \(why): \(value) is used"))
        case .refused(let why):
            result.notes.append(Note(parameter: entry.name, text: "\(shown) \(why): it is left out"))
        }
    }

    static func verdict(_ value: String, _ kind: ParameterCatalogue.Kind) -> Verdict {
        switch kind {
        case .string: return .kept
        case .bool: return SettingValue.bool(value) == nil ? .refused(why: "is no boolean") : .kept
        case .word(let words, let orBool):
            let word = value.lowercased()
            if words.contains(word) || orBool && booleans.contains(word) { return .kept }
            let allowed = words.filter { !$0.isEmpty }.joined(separator: ", ")
            return .refused(why: "is none of \(allowed)")
        case .integer(let range, let unit):
            return number(value, range, SettingValue(type: "integer", unit: unit))
        case .real(let range, let unit):
            return number(value, range, SettingValue(type: "real", unit: unit))
        }
    }

    /// The words that PostgreSQL's enumerations take for `on` and `off`; unlike a boolean's they are not cut short.
    private static let booleans: Set = ["on", "off", "true", "false", "yes", "no", "1", "0"]

    private static func number(_ value: String, _ range: ClosedRange<Double>, _ reader: SettingValue) -> Verdict {
        let isWhole = reader.type == "integer"
        guard let read = reader.number(value), !read.isNaN else {
            let unit = reader.unit.map { " that could be counted in \($0)" } ?? ""
            return .refused(why: "is no \(isWhole ? "whole number" : "number")\(unit)")
        }
        let number = isWhole ? read.rounded(.toNearestOrEven) : read
        if range.contains(number) { return .kept }
        let isBelow = number < range.lowerBound
        let bound = isBelow ? range.lowerBound : range.upperBound
        return .changed(
            isWhole ? String(Int64(bound)) : "\(bound)", why: "is \(isBelow ? "below the least" : "above the most")")
    }
}

/// What `postgres --describe-config` prints: a parameter a line, its name up to the first tab. Pure.
enum DescribedParameters {
    static func names(in text: String) -> Set<String> {
        Set(text.split(atByte: "\n").compactMap { $0.split(atByte: "\t").first.map { $0.lowercased() } })
    }
}
