/// Directories outside the data directory that initdb or pg_basebackup fills, and what they are told so that links stay
/// as they were (postgresql.md §19). Pure.
struct ToolPlaces: Sendable, Hashable {
    /// To be added to the options that the configuration gives.
    var arguments: [String] = []
    /// Everything that is filled outside.
    var filled: [String] = []

    /// `options` are the configured ones, rendered; `mark` tells where `pg_wal` and the tablespaces were before;
    /// `tablespaces` are the source's, nil where they are not known.
    init(options: [String], _ mark: UnfinishedMark, tablespaces: [UnfinishedMark.Tablespace]? = []) {
        if let wal = ToolPlaces.value(of: ["--waldir", "-X"], in: options).last(where: { $0.hasPrefix("/") }) {
            filled.append(wal)
        } else if let wal = mark.walDirectory {
            arguments.append("--waldir=\(wal)")
            filled.append(wal)
        }
        var mapped: [String: String] = [:]
        for mapping in ToolPlaces.value(of: ["--tablespace-mapping", "-T"], in: options) {
            guard let (old, new) = ToolPlaces.mapping(mapping) else { continue }
            mapped[old] = new
        }
        // Without knowing the source's tablespaces any place that is named may be filled; else only those in use.
        guard let tablespaces else {
            filled += mapped.values.sorted()
            return
        }
        for tablespace in tablespaces {
            if let told = mapped[tablespace.path] {
                filled.append(told)
                continue
            }
            let own = mark.tablespaces.first { $0.oid == tablespace.oid }?.path ?? tablespace.path
            filled.append(own)
            if own == tablespace.path { continue }
            let (old, new) = (ToolPlaces.escaped(tablespace.path), ToolPlaces.escaped(own))
            arguments.append("--tablespace-mapping=\(old)=\(new)")
        }
    }

    private static func value(of names: [String], in options: [String]) -> [String] {
        options.compactMap { option in
            for name in names where option.hasPrefix(name) {
                let rest = option.dropFirst(name.count)
                // `-T` takes its value behind it, `--long` behind an equals sign.
                if rest.first == "=" || rest.first == " " { return String(rest.dropFirst()) }
                if !name.hasPrefix("--"), !rest.isEmpty { return String(rest) }
            }
            return nil
        }
    }

    /// `OLD=NEW`; an equals sign in a path stands behind a backslash.
    static func mapping(_ text: String) -> (old: String, new: String)? {
        var parts: [[UInt8]] = [[]]
        var isEscaped = false
        for byte in text.utf8 {
            if byte == UInt8(ascii: "="), !isEscaped {
                parts.append([])
            } else if byte == UInt8(ascii: "="), isEscaped {
                parts[parts.count - 1][parts[parts.count - 1].count - 1] = byte
            } else {
                parts[parts.count - 1].append(byte)
            }
            isEscaped = byte == UInt8(ascii: "\\")
        }
        guard parts.count == 2 else { return nil }
        return (String(decoding: parts[0], as: UTF8.self), String(decoding: parts[1], as: UTF8.self))
    }

    private static func escaped(_ path: String) -> String {
        String(decoding: path.utf8.flatMap { $0 == UInt8(ascii: "=") ? Array("\\=".utf8) : [$0] }, as: UTF8.self)
    }
}
