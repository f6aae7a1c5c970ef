import Configuration
import ControlAPI
import RestService
import TestSupport
import Testing

/// Where the server listens, with which certificate, and what becomes of changes that cannot be made.
@Suite struct RestServerTests {
    private func settings(_ port: Int, _ rest: String = "") throws -> RestAPISettings {
        try Bench.settings("{listen: \"127.0.0.1:\(port)\"\(rest)}")
    }

    @Test func aChangedAddressIsMovedTo() async throws {
        let (old, new) = (try freePort(), try freePort())
        let bench = try await Bench(settings(old))
        try await bench.server.start()
        #expect(try await status(old) == 200)
        await bench.server.adopt(try settings(new))
        #expect(try await status(new) == 200)
        #expect(try await status(old) == nil)
        #expect(await bench.server.apiURL == "http://127.0.0.1:\(new)/patroni")
        #expect(await bench.server.isInPlace)
        await bench.server.stop()
    }

    /// What is published stays true: the members find us where we are, not where we were told to be.
    @Test func anAddressThatIsTakenIsTriedAgain() async throws {
        let old = try freePort()
        var taken: Occupied? = try Occupied()
        let wanted = try #require(taken?.port)
        let bench = try await Bench(settings(old))
        try await bench.server.start()
        await bench.server.adopt(try settings(wanted))
        #expect(try await status(old) == 200)
        #expect(await bench.server.apiURL == "http://127.0.0.1:\(old)/patroni")
        #expect(await !bench.server.isInPlace)
        #expect(try await bench.untilLogged("127.0.0.1:\(wanted) cannot be listened at"))
        taken = nil
        await bench.server.adopt(try settings(wanted))
        #expect(taken == nil)
        #expect(try await status(wanted) == 200)
        #expect(await bench.server.apiURL == "http://127.0.0.1:\(wanted)/patroni")
        #expect(await bench.server.isInPlace)
        await bench.server.stop()
    }

    @Test func whatHoldsFromTheStartOnIsSaid() async throws {
        let port = try freePort()
        let bench = try await Bench(settings(port))
        await bench.server.adopt(try settings(port, ", request_timeout: 9"))
        let line = "warning: restapi.request_timeout: the change holds from the next start of the daemon on"
        #expect(bench.log.value == [line])
        // The same again is no news.
        await bench.server.adopt(try settings(port, ", request_timeout: 9"))
        #expect(bench.log.value == [line])
        await bench.server.adopt(try settings(port))
        #expect(bench.log.value == [line])
    }

    // MARK: The certificate

    private func encrypted(_ port: Int, _ directory: TemporaryDirectory) throws -> RestAPISettings {
        try settings(port, ", certfile: \(directory.path)/server.crt, keyfile: \(directory.path)/server.key")
    }

    private func directory() throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        try directory.write("first.crt", PEM.first)
        try directory.write("second.crt", PEM.second)
        try directory.write("server.crt", PEM.first)
        try directory.write("server.key", PEM.firstKey)
        return directory
    }

    /// Without a signal: whoever renews certificates need not know of us.
    @Test func aCertificateThatWasReplacedIsReadAgain() async throws {
        let directory = try directory()
        let port = try freePort()
        let bench = try await Bench(encrypted(port, directory))
        try await bench.server.start()
        #expect(try await status(port, trusted: directory.path + "/first.crt") == 200)
        try directory.write("server.key", PEM.secondKey)
        try directory.write("server.crt", PEM.second)
        #expect(try await bench.untilLogged("the certificate of the REST API was read again"))
        #expect(try await status(port, trusted: directory.path + "/second.crt") == 200)
        #expect(try await status(port, trusted: directory.path + "/first.crt") == nil)
        await bench.server.stop()
    }

    @Test func aCertificateThatCannotBeUsedLeavesTheOldOne() async throws {
        let directory = try directory()
        let port = try freePort()
        let bench = try await Bench(encrypted(port, directory))
        try await bench.server.start()
        try directory.write("server.crt", "nonsense")
        await bench.server.refresh()
        #expect(try await bench.untilLogged("the certificate of the REST API was not read again"))
        #expect(try await status(port, trusted: directory.path + "/first.crt") == 200)
        await bench.server.stop()
    }

    /// Until the certificate can be read the server goes on in clear, and says so to the members.
    @Test func encryptionBeginsWhenItCan() async throws {
        let directory = try directory()
        let port = try freePort()
        let bench = try await Bench(settings(port))
        try await bench.server.start()
        try directory.write("server.key", "nonsense")
        await bench.server.adopt(try encrypted(port, directory))
        #expect(try await status(port) == 200)
        #expect(await bench.server.apiURL == "http://127.0.0.1:\(port)/patroni")
        #expect(await !bench.server.isInPlace)
        try directory.write("server.key", PEM.firstKey)
        await bench.server.adopt(try encrypted(port, directory))
        #expect(try await status(port, trusted: directory.path + "/first.crt") == 200)
        #expect(await bench.server.apiURL == "https://127.0.0.1:\(port)/patroni")
        #expect(await bench.server.isInPlace)
        await bench.server.stop()
    }

    @Test func aCertificateThatCannotBeReadEndsTheStart() async throws {
        let directory = try TemporaryDirectory()
        await #expect(throws: (any Error).self) { try await Bench(encrypted(1, directory)) }
    }
}
