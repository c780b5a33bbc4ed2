# shellcheck shell=bash disable=SC2154
# What the scripts of the modules kube/ and kubelet/ share; source it behind lib.sh.

# The same settings everywhere: with others all of Kubernetes would be compiled anew.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"

# compile_kubernetes VERSION compiles all packages of cis-kube, so that what follows takes
# seconds. The Go command says which package it has begun; counted, that is the progress.
compile_kubernetes() {
    local text="compile Kubernetes $1" start package done=0 last=$SECONDS out all
    out=$(mktemp)
    all=$(go -C "$root/kube" list -deps ./internal/... | wc -l)
    start=$(date +%s%N)
    echo "$text (about 7 minutes on 2 cores the first time) …"
    if ! go -C "$root/kube" build -v ./internal/... 2>&1 >/dev/null | tee "$out" | while read -r package; do
        done=$((done + 1))
        if [[ -t 1 ]]; then
            printf '\r\033[K%s: %d of at most %d packages, %s ' "$text" "$done" "$all" "$package"
        elif ((SECONDS - last >= 15)); then
            last=$SECONDS
            echo "$text: $done of at most $all packages after $(since "$start")"
        fi
    done; then
        [[ ! -t 1 ]] || printf '\r\033[K'
        tail -n 20 "$out" >&2
        rm -f "$out"
        die "compile Kubernetes: FAILED after $(since "$start")"
    fi
    rm -f "$out"
    [[ ! -t 1 ]] || printf '\r\033[K'
    echo "$text: done after $(since "$start")"
}

# kubelet builds cis-kubelet, which has a module of its own.
kubelet() {
    local version
    version=$(git -C "$root" describe --tags --always 2>/dev/null || echo dev)
    go -C "$root/kubelet" build -ldflags "-s -w -X main.version=$version" -o "$bin/cis-kubelet" .
}
