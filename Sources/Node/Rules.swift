public import ClusterModel
public import HighAvailability

/// The rules that a machine goes by. Others than these are for the test of the simulation, which must notice rules that
/// are wrong.
public struct Rules: Sendable {
    /// Decides what a node does next: `HighAvailability.decide`.
    public typealias Decider = @Sendable (Observation, inout Memory) -> Decision
    /// Says what becomes of the slots: `HighAvailability.slotRule`.
    public typealias SlotDecider =
        @Sendable (NodeIdentity, ClusterView, DynamicConfiguration, PostgreSQLStatus, SlotLedger, BootInstant) ->
        SlotPlan

    /// Says what becomes of `/sync`: `HighAvailability.synchronousRule`.
    public typealias SynchronousDecider =
        @Sendable (
            NodeIdentity, ClusterView, DynamicConfiguration, PostgreSQLStatus, SynchronousLedger, SynchronousSetting?
        ) -> SynchronousPlan

    public var decide: Decider = { HighAvailability.decide($0, &$1) }
    public var slots: SlotDecider = { slotRule($0, $1, $2, $3, $4, at: $5) }
    public var synchronous: SynchronousDecider = { synchronousRule($0, $1, $2, $3, $4, handed: $5) }
    /// Says whether a restored copy has everything: `HighAvailability.isCopyProven`.
    public var provesCopy: @Sendable (NodeIdentity, ClusterView, PostgreSQLStatus, CopyProof) -> Bool = {
        isCopyProven($0, $1, $2, $3)
    }
    /// Whether standbys are compared only when all of PostgreSQL goes by new names.
    public var waitsForSettling = true
    /// Whether the lease is looked at once more before the promotion itself, whatever was done before it.
    public var looksBeforePromotion = true
    /// Whether the cycle looks once more before the key goes.
    public var looksBeforeRelease = true
    /// Whether what has failed is tried again only after a while.
    public var backsOff = true
    /// What goes wrong with /failsafe and the promises; nil but for the test of the simulation.
    public var failsafeSlip: FailsafeSlip?

    public init() {}
}

/// A slip in how `/failsafe` and promises are kept, which the simulation must notice.
public enum FailsafeSlip: Sendable {
    /// A leader asks those whom `/failsafe` named when this daemon first led.
    case membersOfFormerLife
    /// A member leaves `/failsafe` with its key.
    case absentLeaveAtOnce
}
