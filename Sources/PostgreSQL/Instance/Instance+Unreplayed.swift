import ClusterModel
import Ports

extension Instance {
    /// A standby that was started says nothing of what it had received before until it has replayed that, which takes
    /// as long as it takes. All of it is on the disk, and a promotion would replay it first.
    func addUnreplayed(_ status: inout PostgreSQLStatus, _ deadline: BootInstant) async {
        guard let facts = status.facts, facts.inRecovery, facts.receivedPosition == .zero else { return }
        let output = await control(deadline: deadline)
        guard let timeline = output?.controlData?.checkpointTimeline,
            let end = output?.walFiles(in: dataDirectory.path)?.end(from: timeline)
        else { return }
        status.facts?.receivedPosition = end
    }
}
