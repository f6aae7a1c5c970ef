/// What we are, and of what we are a peer.
public enum Version {
    public static let own = "0.1.0"
    /// Published in the member key: other nodes decide by it what we understand (dcs.md §2.11).
    public static let patroni = "4.1.5"
}
