import ClusterModel
import ControlAPI
import HTTPServer
import HighAvailability
import JSON

/// What a request carries: JSON bodies, queries, schedules, conditions, networks, and the documents made of them.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let text = String(decoding: bytes, as: UTF8.self)
    readJSON(bytes)
    if let timestamp = Timestamp(text) {
        precondition(Timestamp(timestamp.text) != nil, "a timestamp that cannot be read back")
    }
    for unit in [SettingUnit.bytes, .seconds] { _ = ValueParsing.integer(text, unit: unit) }
    _ = IPNetwork(text)?.contains(text)
    _ = HostPort(url: text, defaultPort: 8008)
    _ = WALPosition(text)
    if let request = try? HTTPRequest(method: "GET", target: "/" + text) { _ = request.queryItems }
    return 0
}

private func readJSON(_ bytes: [UInt8]) {
    guard let value = try? JSON.parse(bytes: bytes) else { return }
    let written = JSON.text(value)
    precondition((try? JSON.parse(written)) != nil, "JSON that cannot be read back")
    _ = PeerAnswer(json: value)
    guard let object = value.object else { return }
    let settings = DynamicConfiguration(document: object) ?? DynamicConfiguration()
    _ = (settings.isStandbyCluster, settings.synchronousMode, settings.primaryStartTimeout, settings.memberSlotsTTL)
    _ = BootInstant(nanoseconds: 1 << 62) + settings.primaryStartTimeout
    if let restart = try? RestartRequest(body: object, settings, wallTime: 0) { _ = restart.json(withStartTime: true) }
    for kind in [SwitchoverRequest.Kind.switchover, .failover] {
        let request = SwitchoverRequest(kind: kind, body: object)
        _ = try? request.check(settings, wallTime: 1_800_000_000_000_000_000)
    }
    var patched = settings.document
    patched.apply(patch: object)
    _ = Tags(object).published
    let member = Member(name: "m", data: object)
    _ = (member.address, member.position, member.tags.failoverPriority, member.timeline)
}
