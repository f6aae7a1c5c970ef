import ClusterModel
import Configuration
import GuardianClient
import Synchronization

/// The watchdog as configured, and as read again.
final class WatchdogWiring: Sendable {
    private let plan: Mutex<WatchdogPlan?>
    /// Pets it; nil where the guardian is off.
    private let guardian: GuardianClient?

    init(_ effective: EffectiveConfiguration, _ guardian: GuardianClient?) {
        plan = Mutex(Self.plan(effective))
        self.guardian = guardian
    }

    /// Nil where none is used.
    static func plan(_ effective: EffectiveConfiguration) -> WatchdogPlan? {
        let settings = effective.watchdog
        if settings.mode == .off { return nil }
        return WatchdogPlan(
            isRequired: settings.mode == .required, device: settings.device, safetyMargin: settings.safetyMargin,
            isTesting: settings.isTesting)
    }

    func adopt(_ effective: EffectiveConfiguration) async {
        let fresh = Self.plan(effective)
        plan.withLock { $0 = fresh }
        await guardian?.adopt(watchdog: fresh)
    }

    /// Why one that is required could not be used; nil where it could, or need not be.
    var obstacle: String? { plan.withLock { $0 }.flatMap { $0.isRequired ? $0.obstacle : nil } }
}
