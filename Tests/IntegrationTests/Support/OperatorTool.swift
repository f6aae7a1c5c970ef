import ClusterModel
import Glibc
import JSON
import Posix

/// An operator's tool - ours or Patroni's - run once: what it printed where, and how it ended.
struct OperatorTool {
    struct Outcome: Sendable, Hashable {
        let code: Int
        let output: String
        let errors: String

        var json: JSONValue { (try? JSON.parse(output)) ?? .null }
    }

    enum Program: Sendable, Hashable, CaseIterable {
        case ours, peer
    }

    let program: Program
    /// What stands before the command.
    let options: [String]
    var environment: [String: String] = [:]

    /// Runs one command; `input` is what would be typed. With `onTerminal` the tool has one, with all output in one.
    func run(
        _ words: String..., input: String = "", onTerminal: Bool = false, seconds: Double = 120
    ) async throws -> Outcome {
        try await run(words, input: input, onTerminal: onTerminal, seconds: seconds)
    }

    /// Runs what does not end by itself, and presses Ctrl-C after `seconds`.
    func interrupted(after seconds: Int, _ words: String..., onTerminal: Bool = false) async throws -> Outcome {
        let prefix = ["timeout", "--preserve-status", "--foreground", "--signal=INT", "\(seconds)"]
        return try await run(words, prefix: prefix, onTerminal: onTerminal)
    }

    func run(
        _ words: [String], prefix: [String] = [], input: String = "", onTerminal: Bool = false, seconds: Double = 120
    ) async throws -> Outcome {
        let (program, options, more) = (program, options, environment)
        return try await Blocking.run("tool") {
            let directory = Leftovers.directory(for: "ctl\(BootClock.now().nanoseconds)")
            try Files.makeDirectory(directory, mode: 0o755)
            defer { try? Files.removeTree(directory) }
            let environment = Self.environment(directory).merging(more) { $1 }
            let command = prefix + [try Self.path(program, directory)] + options + words
            try Files.replace("\(directory)/input", with: input.utf8, mode: 0o600)
            // Its exit code is not ours to wait for, so a shell writes it down.
            let plain = #""$@" <"$0/input" >"$0/output" 2>"$0/errors""#
            let quoted = command.map { "'\($0)'" }.joined(separator: " ")
            let terminal = #"script -qec "\#(quoted)" /dev/null <"$0/input" >"$0/output" 2>"$0/errors""#
            let process = try OwnedProcess.start(
                ["/bin/sh", "-c", "\(onTerminal ? terminal : plain); echo $? > \"$0/status\"", directory] + command,
                log: "\(directory)/log", directory: directory, environment: environment, brief: true)
            let ended = Blocking.wait(upTo: seconds) { !process.isAlive }
            for left in OwnedProcess.all(with: "\(Leftovers.mark)=\(directory)") { left.signal(SIGKILL) }
            let output = (try? Files.readText("\(directory)/output")) ?? ""
            let errors = (try? Files.readText("\(directory)/errors")) ?? ""
            let status = (try? Files.readText("\(directory)/status"))?.split(separator: "\n").first
            guard ended, let code = status.flatMap({ Int($0) }) else {
                throw Unmet(description: "\(words.joined(separator: " ")) did not end: \(output)\(errors)")
            }
            return Outcome(code: code, output: output, errors: errors)
        }
    }

    static func environment(_ directory: String) -> [String: String] {
        [
            "PATH": Programs.systemPlaces.joined(separator: ":"), "LANG": "C.UTF-8", "HOME": directory, "TZ": "UTC",
            Leftovers.mark: directory,
        ]
    }

    /// Ours goes by Patroni's name where the two are compared.
    static func path(_ program: Program, _ directory: String) throws -> String {
        switch program {
        case .peer: return try Programs.peer("patronictl")
        case .ours:
            guard let own = linkTarget("/proc/self/exe") else { throw SystemError(call: "readlink") }
            let link = "\(directory)/patronictl"
            let target = Files.parent(own) + "/matriarchctl"
            guard symlink(target, link) == 0 else { throw SystemError(call: "symlink", subject: link) }
            return link
        }
    }
}

extension TestCluster {
    /// The tool with the configuration of `node`.
    func tool(_ program: OperatorTool.Program = .ours, node: Int = 1) -> OperatorTool {
        OperatorTool(
            program: program, options: ["-c", configurationFile(node)],
            environment: [
                "PGUSER": "postgres", "PGPASSWORD": NodeConfiguration.password, "PGDATABASE": "postgres",
            ])
    }

    /// Puts a key below `/service/<scope>/`.
    func put(_ scope: String, _ leaf: String, _ value: String) async throws {
        let key = Base64.encode("/service/\(scope)/\(leaf)")
        let body = #"{"key": "\#(key)", "value": "\#(Base64.encode(value))"}"#
        let answer = await call("POST", port: etcdPort, "/v3/kv/put", body: body)
        guard answer?.status == 200 else { throw Unmet(description: "etcd does not take \(scope)/\(leaf)") }
    }

    /// The keys below `/service/<scope>/` as they stand, but for what members write with every cycle.
    func stored(_ scope: String) async throws -> [String: String] {
        let path = "/service/\(scope)/"
        let range = #"{"key": "\#(Base64.encode(path))", "range_end": "\#(Base64.encode(path.dropLast() + "0"))"}"#
        let answer = await call("POST", port: etcdPort, "/v3/kv/range", body: range)
        guard answer?.status == 200 else { throw Unmet(description: "etcd does not tell what is below \(path)") }
        func text(_ value: JSONValue?) -> String {
            value?.string.flatMap(Base64.decode).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        let rows = (answer?.json["kvs"]?.array ?? []).map {
            (String(text($0["key"]).dropFirst(path.count)), text($0["value"]))
        }
        return Dictionary(rows) { $1 }.filter { !$0.key.hasPrefix("members/") && $0.key != "status" }
    }
}
