import ClusterModel
import HTTPClient
import JSON
import Posix

/// An answer and what the caller must know of how it came about.
struct Answer<Value: Sendable>: Sendable {
    let value: Value
    /// Before the attempt that succeeded was sent.
    let sentAt: BootInstant
    /// An earlier attempt failed in a way that leaves open whether etcd acted upon it.
    let isRepeated: Bool
    /// The raft term of the server that answered, and the highest that was known when it was asked; 0 for unknown.
    let term: UInt64
    let termBefore: UInt64
    /// Which life of the store has answered (`StoreLife`).
    let life: Int
}

/// One request to one endpoint, and what is an answer of etcd's (dcs.md §5.5).
extension EtcdTransport {
    func request(
        _ endpoint: EtcdEndpoint, _ path: String, _ body: JSONObject, _ headers: [(name: String, value: String)]
    ) -> HTTPClientRequest {
        HTTPClientRequest(
            method: "POST", url: endpoint.url + (version?.prefix ?? "/v3") + path,
            headers: headers + [("Content-Type", "application/json")], body: Array(JSON.text(body, .compact).utf8),
            bodyLimit: Self.bodyLimit)
    }

    func send(_ request: HTTPClientRequest, _ endpoint: EtcdEndpoint, _ limit: BootInstant)
        async throws(EtcdError) -> HTTPClientResponse
    {
        do throws(HTTPClientError) {
            return try await client.send(timed(request, endpoint, limit), deadline: limit)
        } catch {
            throw .transport(error, endpoint: endpoint.url)
        }
    }

    /// Half of an attempt's time is for connecting, but a second at least.
    func timed(_ request: HTTPClientRequest, _ endpoint: EtcdEndpoint, _ limit: BootInstant) -> HTTPClientRequest {
        var request = request
        request.usesOwnConnection = isDistrusted(endpoint)
        request.connectTimeout = max(.seconds(1), (limit - BootClock.now()) / 2)
        return request
    }

    func decode(_ response: HTTPClientResponse, _ endpoint: EtcdEndpoint) throws(EtcdError) -> JSONObject {
        if response.status != 200 { throw error(response, endpoint) }
        guard let reply = (try? JSON.parsePrefix(bytes: response.body))?.value.object else {
            throw .malformed("\(endpoint) answers with what is not a JSON object: status \(response.status)")
        }
        if reply["error"] != nil, let error = GatewayError(reply) { throw .gateway(error) }
        return reply
    }

    /// What an answer that is none says.
    func error(_ response: HTTPClientResponse, _ endpoint: EtcdEndpoint) -> EtcdError {
        if let reply = (try? JSON.parsePrefix(bytes: response.body))?.value.object, let error = GatewayError(reply) {
            return .gateway(error)
        }
        // A proxy between us, most likely: its own failure is no word of etcd's.
        return .malformed("\(endpoint) answers with status \(response.status)")
    }
}
