public import ClusterModel
import HTTPClient
import JSON
public import Ports

/// What an operator's tool asks for.
extension EtcdStore: StoreAdministration {
    public func loadGroups(deadline: BootInstant) async throws(DCSError) -> [Int: ClusterView] {
        let range = try await everything(deadline)
        var entries: [Int: [StoredEntry]] = [:]
        for pair in range.pairs {
            guard let leaf = keys.leaf(pair.key), let slash = leaf.utf8.firstIndex(of: UInt8(ascii: "/")),
                let group = Int(leaf[..<slash]), group >= 0
            else { continue }
            let rest = String(leaf[slash...].dropFirst())
            let entry = StoredEntry(leaf: rest, value: pair.value, revision: pair.revision, session: pair.lease)
            entries[group, default: []].append(entry)
        }
        return entries.mapValues { ClusterView(entries: $0, revision: range.header.revision) { try? JSON.parse($0) } }
    }

    public func removeAll(deadline: BootInstant) async throws(DCSError) -> Int {
        let count = try await everything(deadline).pairs.count
        do throws(EtcdError) {
            let body = EtcdMessages.range(prefix: keys.prefix)
            _ = try await transport.call(Self.deletePath, body, deadline: deadline)
        } catch {
            throw DCSError(error)
        }
        return count
    }

    public func condition(deadline: BootInstant) async throws(DCSError) -> StoreCondition {
        do throws(EtcdError) {
            let members = try await transport.call(EtcdTransport.memberListPath, [:], deadline: deadline) {
                $0["members"]?.array
            }.value
            let body: JSONObject = ["action": "GET"]
            // etcd 3.4 leaves even the header out where there is no alarm.
            let alarms = try await transport.call(Self.alarmPath, body, deadline: deadline) {
                $0["alarms"]?.array ?? []
            }.value
            let raised = alarms.compactMap { $0["alarm"]?.string }.filter { $0 != "NONE" }
            return StoreCondition(
                servers: members.count, alarms: raised.map { .init(name: $0, remedy: Self.remedy(of: $0)) })
        } catch {
            throw DCSError(error)
        }
    }

    private static func remedy(of alarm: String) -> String {
        alarm == "NOSPACE"
            ? "compact and defragment it (etcdctl compact, etcdctl defrag), then etcdctl alarm disarm"
            : "replace the server that is corrupt (etcdctl alarm list tells which)"
    }

    private static let alarmPath = "/maintenance/alarm"
    private static let deletePath = "/kv/deleterange"

    private func everything(_ deadline: BootInstant) async throws(DCSError) -> EtcdRange {
        do throws(EtcdError) {
            let body = EtcdMessages.range(prefix: keys.prefix)
            return try await transport.call(EtcdTransport.rangePath, body, deadline: deadline) { EtcdRange($0) }.value
        } catch {
            throw DCSError(error)
        }
    }
}
