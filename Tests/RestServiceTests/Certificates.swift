/// Two servers' keys and certificates, each signed by itself, made for tests alone and valid for a hundred years.
enum PEM {
    static let first = """
        -----BEGIN CERTIFICATE-----
        MIIBiDCCAS6gAwIBAgIUNiqXAVfG/MLLdowgSmqYs/Uq6HEwCgYIKoZIzj0EAwIw
        EDEOMAwGA1UEAwwFZmlyc3QwIBcNMjYxMTIyMjM1NjA3WhgPMjEyNjEwMjkyMzU2
        MDdaMBAxDjAMBgNVBAMMBWZpcnN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
        Gtt6FBeERYcfyd24D7jv5n0tzhOpUAZlKIjLbARVYWDsmwV69w+wn+j2n028B42H
        WRTtGlzcCFSx4apuDjR8vqNkMGIwHQYDVR0OBBYEFM7SRJNn6bhUAP5JrGECgZPj
        T864MB8GA1UdIwQYMBaAFM7SRJNn6bhUAP5JrGECgZPjT864MA8GA1UdEwEB/wQF
        MAMBAf8wDwYDVR0RBAgwBocEfwAAATAKBggqhkjOPQQDAgNIADBFAiEAi/My/UNp
        viP+KsmhklGSf2q/5P5MtAf+R1auazjmlrkCIBkQp5BWdkbU5T3EV8xwxz/c0ZOu
        3LJitenWZDdKXr1k
        -----END CERTIFICATE-----
        """

    static let firstKey = """
        -----BEGIN EC PRIVATE KEY-----
        MHcCAQEEIMaG2l412GBE1/+D4sbeq+8h4+XTpxQYJp19qoq18VnfoAoGCCqGSM49
        AwEHoUQDQgAEGtt6FBeERYcfyd24D7jv5n0tzhOpUAZlKIjLbARVYWDsmwV69w+w
        n+j2n028B42HWRTtGlzcCFSx4apuDjR8vg==
        -----END EC PRIVATE KEY-----
        """

    static let second = """
        -----BEGIN CERTIFICATE-----
        MIIBizCCATCgAwIBAgIUO55EH4JXEEOE1KpJgirxc9jzVyswCgYIKoZIzj0EAwIw
        ETEPMA0GA1UEAwwGc2Vjb25kMCAXDTI2MTEyMjIzNTYwN1oYDzIxMjYxMDI5MjM1
        NjA3WjARMQ8wDQYDVQQDDAZzZWNvbmQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
        AAS4pqrCanAoezZljMj8yNq+11hAdDzI7XRBp69LDrkjTSl537AaGImCe2BStd/S
        olFHCmW8mcljIhtO3kU/r1+So2QwYjAdBgNVHQ4EFgQUNasumQM+IXuE9Qdkl1z7
        OSps33AwHwYDVR0jBBgwFoAUNasumQM+IXuE9Qdkl1z7OSps33AwDwYDVR0TAQH/
        BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0kAMEYCIQCr4+KC
        9g1CEccm0ESVxgbt59UwJ8bYv09oztxcNF1J0gIhAPATX1RhjP2Uci3/lb37+FyO
        +TTgBNfmfndpdQCGxr46
        -----END CERTIFICATE-----
        """

    static let secondKey = """
        -----BEGIN EC PRIVATE KEY-----
        MHcCAQEEIMwk3Yzd2rqck5kZ3/9eAlkypNwgvkUVnayU6koliS3+oAoGCCqGSM49
        AwEHoUQDQgAEuKaqwmpwKHs2ZYzI/MjavtdYQHQ8yO10QaevSw65I00ped+wGhiJ
        gntgUrXf0qJRRwplvJnJYyIbTt5FP69fkg==
        -----END EC PRIVATE KEY-----
        """
}
