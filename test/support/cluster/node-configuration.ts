/** The configuration files of a node's programs, as objects and text. */
import { ranges } from './control-plane.ts';

export const nodeName = 'offsite-node';
export const containerdSocket = '/run/containerd/containerd.sock';
export const pauseImage = 'docker.io/library/offsite-pause:1';

export interface NodePaths {
  readonly directory: string;
  readonly cgroup: string;
  readonly address: string;
}

export const containerdConfiguration = ({ directory }: NodePaths) => `
version = 2
root = "${directory}/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "${containerdSocket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # Root of a machine may itself lack CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`;

/** Each pod has a link and a route of its own: unlike on a bridge, every packet passes the node's packet filter. */
export const podNetwork = () => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'ptp',
      // What is outside knows the node's address only.
      ipMasq: true,
      ipam: {
        type: 'host-local',
        dataDir: '/run/cni-addresses',
        ranges: [[{ subnet: ranges.pods }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});

export const kubeletConfiguration = (
  { directory, cgroup, address }: NodePaths,
  certificates: KubeletCertificates,
) => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  address,
  authentication: {
    anonymous: { enabled: false },
    webhook: { enabled: true },
    x509: { clientCAFile: certificates.authority },
  },
  authorization: { mode: 'Webhook' },
  tlsCertFile: certificates.cert,
  tlsPrivateKeyFile: certificates.key,
  clusterDNS: [address],
  clusterDomain: 'cluster.local',
  containerRuntimeEndpoint: `unix://${containerdSocket}`,
  cgroupDriver: 'cgroupfs',
  cgroupRoot: `/${cgroup}`,
  failCgroupV1: false,
  failSwapOn: false,
  oomScoreAdj: 0,
  volumePluginDir: `${directory}/volume-plugins`,
  healthzBindAddress: '127.0.0.1',
  // A small disk that others fill too must neither evict pods nor delete images.
  evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
  imageGCHighThresholdPercent: 100,
  imageGCLowThresholdPercent: 99,
});

export interface KubeletCertificates {
  readonly authority: string;
  readonly cert: string;
  readonly key: string;
}

export const kubeProxyConfiguration = (kubeconfig: string) => ({
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  mode: 'iptables',
  clusterCIDR: ranges.pods,
  clientConnection: { kubeconfig },
  hostnameOverride: nodeName,
  healthzBindAddress: '127.0.0.1:10256',
  metricsBindAddress: '127.0.0.1:10249',
  oomScoreAdj: 0,
  // The table's size is the machine's, not ours.
  conntrack: { maxPerCore: 0, min: 0 },
});

export const dnsReadyPort = 8181;

export const dnsConfiguration = (kubeconfig: string) => `
.:53 {
  errors
  ready :${dnsReadyPort}
  cache 5
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfig}
    pods insecure
    ttl 5
  }
}
`;
