import ClusterModel
import HighAvailability
import Testing

/// Whether a server works on the directory that was looked at.
@Suite struct DirectoryStampTests {
    static let looked = stamp()

    static func stamp(
        directory: UInt64 = 1, file: UInt64 = 2, system: UInt64 = 7, state: UInt8 = 1, checkpoint: UInt64 = 1000,
        walEnd: UInt64? = 1200
    ) -> DirectoryStamp {
        var control = [UInt8](repeating: 0, count: DirectoryStamp.controlSize)
        control.withUnsafeMutableBytes {
            $0.storeBytes(of: system, toByteOffset: 0, as: UInt64.self)
            $0.storeBytes(of: state, toByteOffset: 16, as: UInt8.self)
            $0.storeBytes(of: checkpoint, toByteOffset: 32, as: UInt64.self)
        }
        return DirectoryStamp(
            directory: .init(device: 1, inode: directory), controlFile: .init(device: 1, inode: file),
            control: control, walEnd: walEnd.map(WALPosition.init))
    }

    @Test(
        arguments: [
            (stamp(), nil),
            (stamp(directory: 3), "another directory"),
            (stamp(file: 3), "another control file"),
            (stamp(system: 8), "another cluster's"),
            (stamp(checkpoint: 999), "last checkpoint"),
            (stamp(walEnd: 1199), "WAL ends"),
            // It has begun to write.
            (stamp(state: 2, walEnd: 1199), nil),
            (stamp(state: 2, checkpoint: 1100), nil),
            (stamp(walEnd: nil), nil),
            (stamp(walEnd: 1300), nil),
        ] as [(DirectoryStamp, String?)])
    func recognises(_ now: DirectoryStamp, _ why: String?) {
        let found = Self.looked.replaced(by: now)
        #expect(why.map { found?.contains($0) ?? false } ?? (found == nil), "\(found ?? "nothing")")
    }

    /// The decision to start is one for the directory that was looked at.
    @Test func theStartIsOnWhatWasLookedAt() throws {
        var status = Scene.stopped(walEnd: 1200)
        status.stamp = Self.looked
        let seen = Scene.seen(StoppedAndDivergedTests.leading, status, lease: Scene.lease(), renewal: .held, peers: [:])
        let (decision, _) = Scene.decided(seen)
        guard case .carryOut(let plan) = decision.action else { throw Wrong(text: "\(decision)") }
        let start = PostgreSQLOperation.startPrimary(timeout: seen.settings.startPatience, on: Self.looked)
        #expect(plan.steps == [.postgreSQL(start)])
        let verdict = startVerdict(seen, Memory(), wasWritable: true, timeout: .seconds(9))
        #expect(verdict == .carryOut(.startPrimary(timeout: .seconds(9), on: Self.looked)))
    }

    struct Wrong: Error { var text: String }
}
