/// The signatures that clients had the server make without having finished their handshakes. Who means it finishes, and
/// then owes nothing: a crowd of such owes no more than is on its way between the two sides. A flood of first messages
/// from clients that compute nothing is never paid for. Pure.
struct SignatureDebt {
    /// Beyond so many it is a flood. 256 on their way are 2,500 handshakes a second at a distance of a tenth of one.
    let bearable: Int
    private var count = 0
    private var since: Int64 = 0

    init(bearable: Int) { self.bearable = max(1, bearable) }

    /// So many times what is bearable is remembered, and no more: a flood that has ended is forgotten within seconds.
    private static let memory = 4
    /// What is bearable is forgiven within so long, in nanoseconds: a client that refuses the certificate or was cut
    /// off does not pay either. A flood gets that many signatures, a twentieth of a thread's time.
    private static let forgivingTime: Int64 = 2_000_000_000

    /// A signature was made for a client.
    mutating func owe(now: Int64) {
        forgive(now: now)
        count = min(count + 1, SignatureDebt.memory * bearable)
    }

    /// A client that owed one has finished its handshake.
    mutating func pay() { count = max(0, count - 1) }

    /// More is owed than clients that mean it would owe.
    func isUnbearable(now: Int64) -> Bool { Int64(count) - due(now) / interval > Int64(bearable) }

    private mutating func forgive(now: Int64) {
        let forgiven = due(now) / interval
        if forgiven >= Int64(count) {
            (count, since) = (0, now)
        } else {
            count -= Int(forgiven)
            since += forgiven * interval
        }
    }

    /// How long one that is owed stands.
    private var interval: Int64 { max(1, SignatureDebt.forgivingTime / Int64(bearable)) }

    private func due(_ now: Int64) -> Int64 { max(0, now - since) }
}
