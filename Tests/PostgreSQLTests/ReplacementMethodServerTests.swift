import ClusterModel
import Glibc
import Ports
import Posix
import TestSupport
import Testing

@testable import PostgreSQL

/// Commands of the operator's that are to replace a cluster: it stays until they have.
extension ReplacementServerTests {
    /// A method whose command notes whether the old cluster stands there; `body` finds what it is to fill in `$data`.
    private func method(_ root: String, _ name: String, _ body: String) throws
        -> LocalPostgreSQLConfiguration.ReplicaMethod
    {
        let path = "\(root)/\(name).sh"
        let text = """
            #!/bin/sh
            for word in "$@"; do case $word in --datadir=*) data=${word#--datadir=} ;; esac; done
            [ -e \(root)/n1/global/pg_control ] && echo there >> \(root)/seen || echo gone >> \(root)/seen
            \(body)

            """
        try makeProgram(path, text.utf8)
        return .init(name: name, command: [path])
    }

    private func restore(_ root: String) -> String { "cp -a \(root)/copy/. $data || exit 1" }

    /// `n1` is stopped and has parted from `n2`, of which there is a backup.
    private func part(_ root: String, _ methods: [LocalPostgreSQLConfiguration.ReplicaMethod]) async throws
        -> (first: TestServer, second: TestServer, data: DataDirectory)
    {
        let (first, second) = try await part(root, backup: try backup(root)) { $0.replicaMethods = methods }
        try await second.backUp(to: "\(root)/copy")
        return (first, second, DataDirectory(path: first.configuration.dataDirectory))
    }

    @Test("A command that fails leaves the old one, the next one replaces it")
    func byCommand() async throws {
        try await withServers { root in
            let methods = [
                try method(root, "half", restore(root) + "; rm -rf $data/base; exit 1"),
                try method(root, "nothing", "exit 0"), try method(root, "whole", restore(root)),
            ]
            let (first, second, _) = try await part(root, methods)
            try await replace(first, from: second)
            #expect(try seen(root) == ["there", "there", "there"])
            try await checkFollows(first, second)
        }
    }

    @Test("Where all of them fail the old one is what it was")
    func allCommandsFail() async throws {
        try await withServers { root in
            let methods = [
                try method(root, "half", restore(root) + "; exit 1"), try method(root, "nothing", "exit 0"),
            ]
            let (first, second, data) = try await part(root, methods)
            let standing = try data.standing()
            await #expect(throws: PostgreSQLError.self) { try await replace(first, from: second) }
            #expect(try seen(root) == ["there", "there"])
            #expect(data.look() == (.initialized, nil))
            #expect(try data.standing().sum == standing.sum)
            #expect([data.mark, data.draft, data.old].filter { Files.kind($0) != .missing } == [])
            _ = try await first.controller.perform(.rewind(from: second.upstream))
            try await checkFollows(first, second)
        }
    }

    @Test("Broken off half-way it leaves the old one, to this daemon")
    func commandBrokenOff() async throws {
        try await withServers { root in
            let hanging = try method(root, "hangs", "mkdir $data/base; touch \(root)/hangs; exec sleep 1000")
            let (first, second, data) = try await part(root, [hanging])
            let controller = first.controller
            let copy = Task { try await controller.perform(.clone(from: second.upstream, replacing: .last)) }
            let deadline = BootClock.now() + .seconds(30)
            while !Files.exists("\(root)/hangs"), BootClock.now() < deadline {
                try await Task.sleep(for: .milliseconds(10))
            }
            // It may do what it likes: nobody knows before it has ended.
            #expect(data.look() == (.empty, .copy))
            copy.cancel()
            await #expect(throws: PostgreSQLError.cancelled) { try await copy.value }
            #expect(data.look() == (.initialized, nil))
            #expect([data.mark, data.draft, data.old].filter { Files.kind($0) != .missing } == [])
        }
    }

    @Test("Killed half-way the next daemon has the old one, where nothing was done to it", arguments: [true, false])
    func nextDaemonAfterCommand(_ isUntouched: Bool) async throws {
        try await withServers { root in
            let (first, second, data) = try await part(root, [try method(root, "whole", restore(root))])
            try data.handOverDraft(beside: try data.standing())
            try Files.replace("\(data.draft)/PG_VERSION", with: "15\n".utf8, mode: 0o600)
            if !isUntouched { try Files.replace("\(data.path)/base/1/theirs", with: [], mode: 0o600) }
            let next = try TestServer.controller(first.configuration)
            try await next.claimDirectory(deadline: BootClock.now() + .seconds(10))
            guard isUntouched else {
                #expect(data.look() == (.empty, .copy))
                await #expect(throws: PostgreSQLError.self) {
                    try await next.perform(.startStandby(of: second.upstream, timeout: .seconds(9)))
                }
                return
            }
            #expect(data.look() == (.initialized, nil) && !Files.exists(data.draft))
            _ = try await next.perform(.rewind(from: second.upstream))
            try await checkFollows(first, second)
        }
    }

    @Test("One that fills the directory that it knows by itself leaves half of something there")
    func commandElsewhere() async throws {
        try await withServers { root in
            let own = try method(root, "own", "cp -a \(root)/copy/. \(root)/n1")
            let (first, second, data) = try await part(root, [own])
            await #expect(throws: PostgreSQLError.self) { try await replace(first, from: second) }
            #expect(data.look() == (.empty, .copy))
            await #expect(throws: PostgreSQLError.self) { try await first.startStandby(of: second.upstream) }
        }
    }
}
