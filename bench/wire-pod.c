/*
 * The floor: the kernel work of one dual-stack pod, done by a C program with raw rtnetlink. It knows its addresses,
 * keeps no record, checks nothing first and undoes nothing: what the agent needs beyond this time is the price of
 * being an agent.
 *
 *     wire-pod < lines > times    per line "NUMBER NETNS_PATH", one line "MICROSECONDS", at once
 *
 * The requests are those of agent/pods/wire.ts for agent/pods/attachment.ts, in the same order: what goes to one
 * socket and needs no answer of the other goes out in one system call. Links go into group 4711, so that the bench
 * removes them all with one `ip link delete group 4711`.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <time.h>

#include "netlink.h"

enum { MTU_BYTES = 1500, LINK_GROUP = 4711, OUR_PROTOCOL = 98 };

static const unsigned char HOST_MAC[6] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
static const char GATEWAY4[] = "169.254.1.1", GATEWAY6[] = "fe80::ecee:eeff:feee:eeee";

struct pod {
  unsigned char mac[6];
  char host_link[IFNAMSIZ], ip4[INET_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN], link_local[INET6_ADDRSTRLEN], alias[256];
};

/* ---- the kernel's nouns ---- */

static void one_queue(struct batch *batch) {
  attribute_u32(batch, IFLA_NUM_TX_QUEUES, 1);
  attribute_u32(batch, IFLA_NUM_RX_QUEUES, 1);
}

/* Both ends in one request: the peer is born inside the pod, named, with its MAC and MTU. */
static void add_veth(struct batch *batch, const struct pod *pod, int netns) {
  uint32_t mtu_bytes = MTU_BYTES;
  request(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
  attribute_text(batch, IFLA_IFNAME, pod->host_link);
  attribute_u32(batch, IFLA_MTU, mtu_bytes);
  attribute(batch, IFLA_ADDRESS, HOST_MAC, sizeof HOST_MAC);
  attribute_u32(batch, IFLA_GROUP, LINK_GROUP);
  one_queue(batch);
  struct rtattr *info = begin_nest(batch, IFLA_LINKINFO);
  attribute_text(batch, IFLA_INFO_KIND, "veth");
  struct rtattr *data = begin_nest(batch, IFLA_INFO_DATA);
  struct rtattr *peer = begin_nest(batch, VETH_INFO_PEER);
  grow(batch, sizeof(struct ifinfomsg));
  attribute_text(batch, IFLA_IFNAME, "eth0");
  attribute_u32(batch, IFLA_MTU, mtu_bytes);
  attribute(batch, IFLA_ADDRESS, pod->mac, sizeof pod->mac);
  attribute_u32(batch, IFLA_NET_NS_FD, (uint32_t)netns);
  one_queue(batch);
  end_nest(batch, peer);
  end_nest(batch, data);
  end_nest(batch, info);
}

static void get_link(struct batch *batch, const char *name) {
  request(batch, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
  attribute_text(batch, IFLA_IFNAME, name);
  attribute_u32(batch, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

static void set_alias(struct batch *batch, int index, const char *alias) {
  struct ifinfomsg *link = request(batch, RTM_SETLINK, 0, sizeof *link);
  link->ifi_index = index;
  attribute(batch, IFLA_IFALIAS, alias, strlen(alias));
}

/* No link-local address of the kernel's own making: it would be tentative for a second. */
static void set_address_generation_off(struct batch *batch, int index) {
  unsigned char mode = IN6_ADDR_GEN_MODE_NONE;
  struct ifinfomsg *link = request(batch, RTM_SETLINK, 0, sizeof *link);
  link->ifi_index = index;
  struct rtattr *spec = begin_nest(batch, IFLA_AF_SPEC);
  struct rtattr *inet6 = begin_nest(batch, AF_INET6);
  attribute(batch, IFLA_INET6_ADDR_GEN_MODE, &mode, 1);
  end_nest(batch, inet6);
  end_nest(batch, spec);
}

/* rp_filter, forwarding, proxy_arp: IPV4_DEVCONF_* of linux/ip.h */
static void set_ipv4_settings(struct batch *batch, int index) {
  struct ifinfomsg *link = request(batch, RTM_SETLINK, 0, sizeof *link);
  link->ifi_index = index;
  struct rtattr *spec = begin_nest(batch, IFLA_AF_SPEC);
  struct rtattr *inet = begin_nest(batch, AF_INET);
  struct rtattr *conf = begin_nest(batch, IFLA_INET_CONF);
  attribute_u32(batch, IPV4_DEVCONF_RP_FILTER, 1);
  attribute_u32(batch, IPV4_DEVCONF_FORWARDING, 1);
  attribute_u32(batch, IPV4_DEVCONF_PROXY_ARP, 1);
  end_nest(batch, conf);
  end_nest(batch, inet);
  end_nest(batch, spec);
}

static void set_proxy_delay(struct batch *batch, int index) {
  uint64_t none_ms = 0;
  struct ndtmsg *table = request(batch, RTM_SETNEIGHTBL, 0, sizeof *table);
  table->ndtm_family = AF_INET;
  attribute_text(batch, NDTA_NAME, "arp_cache");
  struct rtattr *parameters = begin_nest(batch, NDTA_PARMS);
  attribute_u32(batch, NDTPA_IFINDEX, (uint32_t)index);
  attribute(batch, NDTPA_PROXY_DELAY, &none_ms, sizeof none_ms);
  end_nest(batch, parameters);
}

static void set_up(struct batch *batch, int index) {
  struct ifinfomsg *link = request(batch, RTM_SETLINK, 0, sizeof *link);
  link->ifi_index = index;
  link->ifi_flags = link->ifi_change = IFF_UP;
}

static void add_address(struct batch *batch, int index, int family, const char *ip, int prefix, int scope) {
  struct ifaddrmsg *address = request(batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof *address);
  address->ifa_family = (uint8_t)family;
  address->ifa_prefixlen = (uint8_t)prefix;
  address->ifa_scope = (uint8_t)scope;
  address->ifa_index = (uint32_t)index;
  attribute_ip(batch, IFA_LOCAL, family, ip);
  attribute_ip(batch, IFA_ADDRESS, family, ip);
  attribute_u32(batch, IFA_FLAGS, family == AF_INET6 ? IFA_F_NODAD : IFA_F_NOPREFIXROUTE);
}

/* destination NULL: the default route. gateway NULL: the destination is on the link itself. */
static void add_route(struct batch *batch, int index, int family, const char *destination, const char *gateway,
                      int protocol) {
  struct rtmsg *route = request(batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof *route);
  route->rtm_family = (uint8_t)family;
  route->rtm_protocol = (uint8_t)protocol;
  route->rtm_type = RTN_UNICAST;
  route->rtm_scope = gateway == NULL && family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  if (destination != NULL) {
    route->rtm_dst_len = family == AF_INET ? 32 : 128;
    attribute_ip(batch, RTA_DST, family, destination);
  }
  if (gateway != NULL) attribute_ip(batch, RTA_GATEWAY, family, gateway);
  attribute_u32(batch, RTA_OIF, (uint32_t)index);
  attribute_u32(batch, RTA_TABLE, RT_TABLE_MAIN);
}

static void add_neighbour(struct batch *batch, int index, int family, const char *ip, const unsigned char mac[6]) {
  struct ndmsg *neighbour = request(batch, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof *neighbour);
  neighbour->ndm_family = (uint8_t)family;
  neighbour->ndm_ifindex = index;
  neighbour->ndm_state = NUD_PERMANENT;
  attribute_ip(batch, NDA_DST, family, ip);
  attribute(batch, NDA_LLADDR, mac, 6);
}

static void set_sysctl(const char *directory, const char *link, const char *key, const char *value) {
  char path[128];
  snprintf(path, sizeof path, "/proc/sys/net/%s/%s/%s", directory, link, key);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, value, strlen(value)) < 0) die(path);
  close(fd);
}

/* ---- one pod ---- */

/* The socket that stays bound to the pod's namespace; what needs the namespace itself is done while inside. */
static int open_netlink_inside(int netns, int home) {
  if (setns(netns, CLONE_NEWNET) < 0) die("setns into the pod");
  int fd = open_netlink();
  set_sysctl("ipv6/conf", "eth0", "disable_ipv6", "0");
  set_sysctl("ipv6/conf", "eth0", "accept_ra", "0");
  if (setns(home, CLONE_NEWNET) < 0) die("setns home");
  return fd;
}

/* The others are so by default on a node that forwards, or are set with the link. */
static void set_host_sysctls(const char *name) {
  set_sysctl("ipv6/conf", name, "accept_ra", "0");
  set_sysctl("ipv6/conf", name, "proxy_ndp", "1");
}

static void wire_host(struct batch *host, int index, const struct pod *pod) {
  set_ipv4_settings(host, index);
  set_proxy_delay(host, index);
  set_address_generation_off(host, index);
  set_up(host, index);
  add_address(host, index, AF_INET6, GATEWAY6, 64, RT_SCOPE_LINK);
  add_route(host, index, AF_INET, pod->ip4, NULL, OUR_PROTOCOL);
  add_route(host, index, AF_INET6, pod->ip6, NULL, OUR_PROTOCOL);
  add_neighbour(host, index, AF_INET, pod->ip4, pod->mac);
  add_neighbour(host, index, AF_INET6, pod->ip6, pod->mac);
  perform(host, NULL);
}

static void wire_inside(struct batch *inside, int index, const struct pod *pod) {
  set_address_generation_off(inside, index);
  set_up(inside, index);
  add_address(inside, index, AF_INET, pod->ip4, 32, RT_SCOPE_UNIVERSE);
  add_address(inside, index, AF_INET6, pod->ip6, 128, RT_SCOPE_UNIVERSE);
  add_address(inside, index, AF_INET6, pod->link_local, 64, RT_SCOPE_LINK);
  add_route(inside, index, AF_INET, GATEWAY4, NULL, RTPROT_BOOT);
  add_route(inside, index, AF_INET, NULL, GATEWAY4, RTPROT_BOOT);
  add_route(inside, index, AF_INET6, NULL, GATEWAY6, RTPROT_BOOT);
  add_neighbour(inside, index, AF_INET, GATEWAY4, HOST_MAC);
  add_neighbour(inside, index, AF_INET6, GATEWAY6, HOST_MAC);
  perform(inside, NULL);
}

static struct pod make_pod(unsigned number) {
  struct pod pod = {.mac = {0x02, 0, 0, 0, (unsigned char)(number >> 8), (unsigned char)number}};
  snprintf(pod.host_link, sizeof pod.host_link, "wire%u", number & 0xffff);
  snprintf(pod.ip4, sizeof pod.ip4, "10.44.%u.%u", number >> 8 & 255, number & 255);
  snprintf(pod.ip6, sizeof pod.ip6, "fd44::%x", number & 0xffff);
  snprintf(pod.link_local, sizeof pod.link_local, "fe80::ff:fe00:%x", number & 0xffff);
  snprintf(pod.alias, sizeof pod.alias, "bench/1 %064x eth0 bench %s,%s bench/pod", number, pod.ip4, pod.ip6);
  return pod;
}

static void wire(struct batch *host, int home, const struct pod *pod, const char *netns_path) {
  int links[2] = {0, 0};
  int netns = open(netns_path, O_RDONLY | O_CLOEXEC);
  if (netns < 0) die(netns_path);
  add_veth(host, pod, netns);
  get_link(host, pod->host_link);
  perform(host, links);
  struct batch inside = {.socket = open_netlink_inside(netns, home)};
  set_host_sysctls(pod->host_link);
  wire_host(host, links[0], pod);
  wire_inside(&inside, links[1], pod);
  set_alias(host, links[0], pod->alias);
  get_link(host, pod->host_link); /* makes the kernel's link watch see the carrier now: agent/pods/wire.ts, untilRunning */
  perform(host, NULL);
  close(inside.socket);
  close(netns);
}

int main(void) {
  static struct batch host;
  unsigned number;
  char path[256];
  host.socket = open_netlink();
  int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) die("/proc/self/ns/net");
  setlinebuf(stdout);
  while (scanf("%u %255s", &number, path) == 2) {
    struct timespec from, to;
    struct pod pod = make_pod(number);
    clock_gettime(CLOCK_MONOTONIC, &from);
    wire(&host, home, &pod, path);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.1f\n", (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3);
  }
  return 0;
}
