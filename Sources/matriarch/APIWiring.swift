import HTTPServer
import Logging

/// The REST server as configured. Apart from the rest because `ListenAddress` means something else there.
enum APIWiring {
    static func server(host: String, port: Int, handler: any HTTPHandler, logger: Logger) -> HTTPServer {
        var configuration = HTTPServerConfiguration(
            listen: [ListenAddress(host: host, port: UInt16(clamping: port))])
        configuration.serverName = "Matriarch/\(Version.own)"
        let debug = logger
        configuration.accessLog = { access in
            debug.debug(
                "\(access.peer) \(access.method) \(access.target) \(access.status) \(access.latency.formattedMilliseconds)"
            )
        }
        return HTTPServer(configuration: configuration, handler: handler, logger: logger)
    }
}

extension Duration {
    fileprivate var formattedMilliseconds: String {
        let (seconds, attoseconds) = components
        return "\(seconds * 1000 + attoseconds / 1_000_000_000_000_000) ms"
    }
}
