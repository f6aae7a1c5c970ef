import Testing

@testable import Guardian

@Suite("Messages between daemon and guardian")
struct CodecTests {
    static let lease = GuardedLease(since: 1_000_000_000, ttl: 30_000_000_000, margin: 3_000_000_000, session: "42")
    static let program = GuardianRequest.Launch(
        executable: "/usr/bin/postgres", arguments: ["postgres", "-D", "/a b", "", "x=y", "zwei\nZeilen"],
        environment: ["A=", "B==", "LANG=C"], workingDirectory: "/a b", isStandby: true)

    @Test(
        "A request is read as it was written",
        arguments: [
            GuardianRequest.status, .disarm, .goodbye, .launch(program), .keepAlive(program),
            .enforce(lease, postmaster: 0), .enforce(lease, postmaster: 4711),
        ])
    func requestsSurvive(_ request: GuardianRequest) throws {
        #expect(try GuardianRequest(GuardianMessage(request.message.bytes)) == request)
    }

    @Test(
        "An answer is read as it was written",
        arguments: [
            GuardianReply(guardian: 1, postmaster: 0, isParent: false, lease: nil, stop: nil),
            GuardianReply(
                refusal: "because = of\nthis", guardian: 7, postmaster: 8, isParent: true, lease: lease,
                stop: .init(at: 5, postmaster: 6, wasKilled: true, over: 9)),
        ])
    func repliesSurvive(_ reply: GuardianReply) throws {
        #expect(try GuardianReply(GuardianMessage(reply.message.bytes)) == reply)
    }

    @Test(
        "What is no message, or one that makes no sense, is refused",
        arguments: [
            "", "verb=status", "status\0", "name=x\0", "verb=fly\0", "verb=launch\0", "verb=enforce\0postmaster=1\0",
            "verb=enforce\0since=1\0ttl=x\0margin=1\0session=\0postmaster=1\0",
            "verb=enforce\0since=1\0ttl=0\0margin=0\0session=\0postmaster=1\0",
            "verb=enforce\0since=-1\0ttl=5\0margin=1\0session=\0postmaster=1\0",
            "verb=enforce\0since=1\0ttl=5\0margin=6\0session=\0postmaster=1\0",
            "verb=enforce\0since=1\0ttl=5\0margin=1\0session=\0postmaster=-1\0",
            "verb=enforce\0since=1\0ttl=9223372036854775807\0margin=1\0session=\0postmaster=1\0",
            "verb=enforce\0since=1\0ttl=5\0margin=1\0session=\0postmaster=4294967296\0",
        ])
    func nonsenseIsRefused(_ text: String) {
        #expect(throws: GuardianMessage.Malformed.self) { try GuardianRequest(GuardianMessage(Array(text.utf8))) }
    }

    @Test("A message has a bound")
    func tooLong() {
        let bytes = [UInt8](repeating: 0, count: GuardianMessage.maximumLength + 1)
        #expect(throws: GuardianMessage.Malformed.self) { try GuardianMessage(bytes) }
    }
}
