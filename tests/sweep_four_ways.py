"""The same sweep by one process, two, two devices, or a Dask cluster: python sweep_four_ways.py WAY FILE"""

import sys


def main(way: str, path: str) -> None:
    import jax

    if way == "devices":
        jax.config.update("jax_num_cpu_devices", 2)
    import numpy as np

    from physnet import results
    from physnet.sweeps import sweep

    over = {"beta": np.geomspace(0.01, 0.9, 20), "seed": range(10)}
    if way == "cluster":
        from distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            ds = sweep("nudging-error", over, client=client)
    else:
        ds = sweep("nudging-error", over, workers=2 if way == "processes" else 1)
    assert jax.device_count() == (2 if way == "devices" else 1)
    results.save(ds, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
