import ClusterModel
import Testing

@testable import PostgreSQL

@Suite struct CopyWatchTests {
    static let began = BootInstant(nanoseconds: 1_000_000_000_000)

    @Test func aCopyThatStandsIsToldMoreAndMoreSeldom() {
        let watch = CopyWatch(at: Self.began)
        let told = (0...600).filter { watch.silence(at: Self.began + .seconds($0))?.isNews == true }
        #expect(told == [60, 120, 240, 480])
        #expect(watch.silence(at: Self.began + .seconds(601))?.time == .seconds(601))
        watch.noteProgress(at: Self.began + .seconds(601))
        #expect(watch.silence(at: Self.began + .seconds(660)) == nil)
        #expect(watch.silence(at: Self.began + .seconds(661))?.isNews == true)
    }
}
