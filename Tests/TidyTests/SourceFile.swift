import Posix

/// A Swift file as the rules see it: the text as written, and the text with comments and the insides of strings
/// blanked, so that words in them are nobody's business. Both have the same lines.
struct SourceFile: Sendable {
    /// From the root of the package: `Sources/Posix/Files.swift`.
    let path: String
    let lines: [String]
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var blanker = Blanker(text)
        code = blanker.blanked().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// `Posix` of `Sources/Posix/Files.swift`.
    var target: String {
        let parts = path.split(separator: "/")
        return parts.count > 2 ? String(parts[1]) : ""
    }

    /// The modules that the file imports.
    var imports: [(line: Int, module: String, isPublic: Bool)] {
        code.enumerated().compactMap { index, line in
            var words = line.split(separator: " ").map(String.init)
            if words.first == "@_exported" { words.removeFirst() }
            let isPublic = words.first == "public"
            while let first = words.first, ["public", "internal", "private", "@testable"].contains(first) {
                words.removeFirst()
            }
            guard words.first == "import", let module = words.last else { return nil }
            return (index + 1, module, isPublic)
        }
    }

    /// Every Swift file under a directory of the package.
    static func all(under directory: String) throws -> [SourceFile] {
        try paths(directory).filter { $0.hasSuffix(".swift") }.map { path in
            SourceFile(path: path, text: try Files.readText("\(Package.root)/\(path)"))
        }
    }

    /// Every file under a directory of the package.
    static func paths(_ directory: String) throws -> [String] {
        var paths: [String] = []
        for name in try Files.list("\(Package.root)/\(directory)") where !name.hasPrefix(".") {
            let path = "\(directory)/\(name)"
            switch Files.kind("\(Package.root)/\(path)") {
            case .directory: paths += try Self.paths(path)
            case .file: paths.append(path)
            case .missing, .symbolicLink, .other: continue
            }
        }
        return paths
    }
}

/// Where the package lies: above this file.
enum Package {
    static let root: String = {
        var path = #filePath[...]
        for _ in 0..<3 { path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] }
        return String(path)
    }()
}

/// Replaces comments and strings by blanks. What is interpolated into a string is code and stays.
struct Blanker {
    private enum Mode {
        case code(parentheses: Int)
        case lineComment
        case blockComment(depth: Int)
        /// A literal with its closing quotes and the number signs around it.
        case string(quotes: Int, signs: Int)
    }

    private let text: [UInt8]
    private let newline = UInt8(ascii: "\n")
    private var position = 0
    private var result: [UInt8] = []
    private var modes: [Mode] = [.code(parentheses: 0)]

    init(_ text: String) { self.text = Array(text.utf8) }

    mutating func blanked() -> String {
        result.reserveCapacity(text.count)
        while position < text.count {
            switch modes[modes.count - 1] {
            case .code(let parentheses): code(parentheses)
            case .lineComment: lineComment()
            case .blockComment(let depth): blockComment(depth)
            case .string(let quotes, let signs): string(quotes, signs)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private func has(_ word: StaticString, at offset: Int = 0) -> Bool {
        has(UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount), at: offset)
    }

    private func has(_ word: some Collection<UInt8>, at offset: Int = 0) -> Bool {
        var index = position + offset
        for byte in word {
            guard index < text.count, text[index] == byte else { return false }
            index += 1
        }
        return true
    }

    /// A line break stays, or the lines would not match any more.
    private mutating func blank(_ count: Int) {
        for _ in 0..<count where position < text.count {
            result.append(text[position] == newline ? newline : UInt8(ascii: " "))
            position += 1
        }
    }

    private mutating func keep() {
        result.append(text[position])
        position += 1
    }

    private mutating func code(_ parentheses: Int) {
        if has("//") { return modes.append(.lineComment) }
        if has("/*") {
            modes.append(.blockComment(depth: 0))
            return
        }
        var signs = 0
        while has("#", at: signs) { signs += 1 }
        if has("\"", at: signs) {
            let quotes = has("\"\"\"", at: signs) ? 3 : 1
            modes.append(.string(quotes: quotes, signs: signs))
            return blank(signs + quotes)
        }
        let isInterpolation = modes.count > 1
        if isInterpolation, text[position] == UInt8(ascii: "(") {
            modes[modes.count - 1] = .code(parentheses: parentheses + 1)
        }
        if isInterpolation, text[position] == UInt8(ascii: ")") {
            if parentheses == 1 {
                modes.removeLast()
            } else {
                modes[modes.count - 1] = .code(parentheses: parentheses - 1)
            }
        }
        keep()
    }

    private mutating func lineComment() {
        if text[position] == newline { modes.removeLast() }
        blank(1)
    }

    private mutating func blockComment(_ depth: Int) {
        if has("/*") {
            modes[modes.count - 1] = .blockComment(depth: depth + 1)
            blank(2)
        } else if has("*/") {
            if depth == 1 { modes.removeLast() } else { modes[modes.count - 1] = .blockComment(depth: depth - 1) }
            blank(2)
        } else {
            blank(1)
        }
    }

    private mutating func string(_ quotes: Int, _ signs: Int) {
        // Most of what stands in a literal is neither its end nor an escape.
        guard text[position] == UInt8(ascii: "\"") || text[position] == UInt8(ascii: "\\") else { return blank(1) }
        let number = Array(repeating: UInt8(ascii: "#"), count: signs)
        let end = Array(repeating: UInt8(ascii: "\""), count: quotes) + number
        let escape = [UInt8(ascii: "\\")] + number
        if has(end) {
            modes.removeLast()
            blank(end.count)
        } else if has(escape + [UInt8(ascii: "(")]) {
            blank(escape.count)
            modes.append(.code(parentheses: 0))
        } else if has(escape) {
            blank(escape.count + 1)
        } else {
            blank(1)
        }
    }
}
