import ClusterModel
import Testing

@testable import HighAvailability

/// Since when slots are nobody's.
@Suite struct SlotLedgerTests {
    /// A store that has lost its memory shows no key of members that are there.
    @Test(arguments: [true, false])
    func inAnotherLifeOfTheStoreSlotsAreNobodysOnlyAfterTheirTime(_ isLeader: Bool) {
        let me = NodeIdentity(name: isLeader ? "n1" : "n3")
        var ledger = SlotLedger()
        var local = isLeader ? Scene.primary() : Scene.standby()
        local.facts?.slots = [SlotRuleTests.slot("x")]
        let settings = DynamicConfiguration()
        ledger.note(me, SlotRuleTests.leading, settings, local, at: Scene.now)
        let began = Scene.now + .seconds(1790)
        ledger.storeBeganAnew(at: began)
        ledger.note(me, SlotRuleTests.leading, settings, local, at: began)
        let soon = slotRule(me, SlotRuleTests.leading, settings, local, ledger, at: began + .seconds(1799))
        #expect(!soon.actions.contains(.drop("x")))
        let late = slotRule(me, SlotRuleTests.leading, settings, local, ledger, at: began + .seconds(1801))
        #expect(late.actions.contains(.drop("x")))
    }
}
