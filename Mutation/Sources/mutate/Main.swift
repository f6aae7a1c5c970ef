import Foundation

/// `mutate TREE DIRECTORY...`: rewrites the Swift files of these directories of a *copy* of the tree in place, puts the
/// switches beside them, and prints the mutants as tab-separated values.
@main struct Main {
    /// It knows no other target of ours, and has switches of its own.
    private static let alone = "Sources/Guardian"
    /// Where the switches of all others are.
    private static let home = "Sources/ClusterModel"

    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard let tree = arguments.first, arguments.count > 1 else {
            FileHandle.standardError.write(Data("usage: mutate TREE DIRECTORY...\n".utf8))
            exit(2)
        }
        let register = Register()
        for directory in arguments.dropFirst() {
            let names = try FileManager.default.contentsOfDirectory(atPath: "\(tree)/\(directory)")
            for path in try swiftFiles("\(tree)/\(directory)", names) {
                register.file = String(path.dropFirst(tree.count + 1))
                let text = try String(contentsOfFile: path, encoding: .utf8)
                let known = register.mutants.count
                var rewritten = Rewriter.rewrite(text, register)
                let needsSwitches = directory != alone && !directory.hasPrefix(home)
                if register.mutants.count > known, needsSwitches, !text.contains("import ClusterModel") {
                    rewritten = "import ClusterModel\n" + rewritten
                }
                try rewritten.write(toFile: path, atomically: true, encoding: .utf8)
            }
        }
        if arguments.contains(alone) {
            try Switches.text.write(toFile: "\(tree)/\(alone)/MutantSwitches.swift", atomically: true, encoding: .utf8)
        }
        try Switches.text.write(
            toFile: "\(tree)/\(home)/MutantSwitches.swift", atomically: true, encoding: .utf8)
        try Switches.decisions.write(
            toFile: "\(tree)/Sources/HighAvailability/MutantDecisions.swift", atomically: true, encoding: .utf8)
        for mutant in register.mutants { print(mutant.row) }
    }

    private static func swiftFiles(_ directory: String, _ names: [String]) throws -> [String] {
        try names.sorted().flatMap { name -> [String] in
            let path = "\(directory)/\(name)"
            var isDirectory: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else { return [] }
            if isDirectory.boolValue {
                return try swiftFiles(path, FileManager.default.contentsOfDirectory(atPath: path))
            }
            return name.hasSuffix(".swift") ? [path] : []
        }
    }
}
