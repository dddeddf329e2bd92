"""coppice-worker@ from the package, under a real systemd: what an operator does, and what befalls a master."""

import pytest

from machine import Client

DRILL = "worker: {app: /usr/libexec/coppice/drill-worker, concurrency: 2}"


def gone(machine, pids):
    machine.until(" && ".join(f"! test -e /proc/{pid}" for pid in pids), f"the end of {pids}")


def test_it_is_active_when_its_first_child_is_ready_and_not_before(worker, machine):
    machine.write("/run/slow-worker", "#!/bin/sh\necho $$ >> /run/slow-worker.started\nuntil [ -e /run/slow-worker.go ]; do sleep 0.05; done\n"
                                      "exec /usr/libexec/coppice/drill-worker\n")  # fmt: skip
    machine.run("rm -f /run/slow-worker.*; chmod 755 /run/slow-worker; install -o coppice /dev/null /run/slow-worker.started")
    unit = worker("slow", "worker: {app: /run/slow-worker, concurrency: 2}", Service="ReadWritePaths=/run/slow-worker.started")
    unit.order("start --no-block")
    machine.until("test -s /run/slow-worker.started", "the first child")
    assert unit["ActiveState"] == "activating"
    assert unit["StatusText"] == "" or "ready" in unit["StatusText"]
    machine.run("touch /run/slow-worker.go")
    unit.until("ActiveState", "active")
    assert unit.client.do("drill.add", 2, 3) == 5


def test_its_status_shows_what_it_does(demo):
    demo.until_status("2/2 children ready")
    demo.client.call("drill.sleep", 30)
    demo.until_status("1 busy")


def test_its_processes_are_confined(demo, machine):
    for pid in [demo.main_pid, *demo.children]:
        status = machine.run(f"cat /proc/{pid}/status")
        assert "NoNewPrivs:\t1" in status and "CapEff:\t0000000000000000" in status and "Seccomp:\t2" in status, status
        assert machine.run(f"stat -c %U /proc/{pid}") == "coppice"
    assert machine.succeeds(f"systemd-analyze security --threshold=20 --no-pager {demo.name}")


def test_each_child_has_a_cgroup_of_its_own_and_what_it_has_started_goes_with_it(demo, machine):
    demo.until_status("2/2 children ready")
    paths = [machine.run(f"grep ^0: /proc/{pid}/cgroup").removeprefix("0::") for pid in [demo.main_pid, *demo.children]]
    assert len(set(paths)) == 3 and all(demo["ControlGroup"] in path for path in paths), paths
    # It leaves a process in a session of its own, which no signal to its group would reach, and dies.
    demo.client.failure(demo.client.call("drill.orphan", 4242))
    machine.until("! grep -qs 'sleep.*424[2]' /proc/[0-9]*/cmdline", "the end of what the child has left")


def test_children_run_as_another_user_with_the_drop_in_for_it(worker, machine):
    unit = worker("apart", DRILL.replace("}", ", child-user: nobody}"))
    machine.run(f"mkdir -p /run/systemd/system/{unit.name}.service.d && cp /usr/share/doc/coppice/examples/child-user.conf "
                f"/run/systemd/system/{unit.name}.service.d/test.conf && systemctl daemon-reload")  # fmt: skip
    machine.run("sed -i s:/var/lib/coppice/:/var/lib/coppice-apart/: /etc/coppice/apart.yaml")
    unit.order("start")
    assert Client(machine, "/etc/coppice/apart.yaml", user="root").do("drill.add", 2, 3) == 5
    unit.until_status("2/2 children ready")
    assert machine.run("stat -c %U /var/lib/coppice") == "coppice"
    assert {machine.run(f"stat -c %U /proc/{pid}/task") for pid in unit.children} == {"nobody"}


def test_a_master_that_hangs_is_restarted_and_its_task_runs_again(worker, machine):
    unit = worker("hang", DRILL, Service="WatchdogSec=2")
    unit.order("start")
    id = unit.client.call("drill.late", 3)
    unit.client.until_state(id, "STARTED")
    master, children = unit.main_pid, unit.children
    machine.run(f"kill -STOP {master}")
    unit.until("NRestarts", "1", timeout=30)
    gone(machine, [master, *children])
    pid = unit.client.result(id)
    assert pid in unit.children and pid not in children
    assert "watchdog" in unit.log().lower()


def test_a_master_that_is_killed_loses_nothing(demo, machine):
    ids = demo.client.calls("drill.late", 1, count=6)
    demo.until_status("2 busy")
    master, children = demo.main_pid, demo.children
    machine.run(f"kill -KILL {master}")
    demo.until("NRestarts", "1")
    gone(machine, [master, *children])
    assert all(isinstance(demo.client.result(id), int) for id in ids)


def test_a_reload_under_load_fails_no_task(worker, machine):
    unit = worker("load", DRILL)
    unit.order("start")
    unit.until_status("2/2 children ready")
    master, children = unit.main_pid, unit.children
    ids = unit.client.calls("drill.sleep", 3, count=6)
    unit.until_status("2 busy")
    machine.run("sed -i 's/concurrency: 2/concurrency: 3/' /etc/coppice/load.yaml")
    unit.order("reload")
    assert unit["ActiveState"] == "active" and unit.main_pid == master
    unit.until_status("3/3 children ready")
    assert [unit.client.result(id) for id in ids] == [3] * len(ids)
    gone(machine, children)
    assert unit["NRestarts"] == "0"


def test_a_reload_that_fails_is_told_and_changes_nothing(demo, machine):
    demo.until_status("2/2 children ready")
    master, children = demo.main_pid, demo.children
    machine.run("cp /etc/coppice/demo.yaml /run/demo.yaml && sed -i 's/concurrency: 2/concurrency: many/' /etc/coppice/demo.yaml")
    try:
        with pytest.raises(AssertionError, match="concurrency"):
            demo.order("reload")
    finally:
        machine.run("cat /run/demo.yaml > /etc/coppice/demo.yaml")
    assert demo["ActiveState"] == "active"
    assert (demo.main_pid, demo.children) == (master, children)
    assert demo.client.do("drill.add", 2, 3) == 5


def test_a_stop_waits_for_the_task_that_runs_and_the_rest_runs_after_the_next_start(demo):
    running = [demo.client.call("drill.sleep", 4) for _ in range(2)]
    for id in running:
        demo.client.until_state(id, "STARTED")
    waiting = demo.client.call("drill.add", 2, 3)
    demo.order("stop --no-block")
    demo.until("ActiveState", "deactivating")
    demo.until("ActiveState", "inactive")
    assert demo["Result"] == "success"
    assert [demo.client.result(id, timeout=1) for id in running] == [4, 4]
    demo.order("start")
    assert demo.client.result(waiting) == 5


def test_a_stop_waits_no_longer_than_it_is_told_to(worker):
    unit = worker("patient", DRILL.replace("}", ", shutdown-timeout: 2}"))
    unit.order("start")
    id = unit.client.call("drill.sleep", 300)
    unit.client.until_state(id, "STARTED")
    unit.order("stop")
    assert unit["ActiveState"] == "inactive"
    assert "shutdown" in unit.client.failure(id)


def test_a_worker_that_never_becomes_ready_ends_as_a_failed_unit_that_says_why(worker):
    unit = worker("crash", "worker: {app: /usr/bin/false}", Unit="StartLimitBurst=2", Service="RestartSec=100ms")
    unit.order("start --no-block")
    unit.until("ActiveState", "failed", timeout=60)
    # The second of them is the one that was refused.
    assert unit["NRestarts"] == "2"
    assert "giving up" in unit.log()
    assert "Start request repeated too quickly" in unit.log()


def test_a_wrong_setting_is_told_and_not_tried_again(worker):
    unit = worker("wrong", "worker: {app: /usr/libexec/coppice/drill-worker, colour: red}")
    with pytest.raises(AssertionError, match="unknown name colour"):
        unit.order("start")
    assert unit["ActiveState"] == "failed" and unit["NRestarts"] == "0"


def test_a_worker_without_settings_says_so(machine, worker):
    unit = worker("nobody", DRILL)
    machine.run("rm /etc/coppice/nobody.yaml")
    with pytest.raises(AssertionError, match="Assertion failed"):
        unit.order("start")


def test_a_credential_names_the_broker(worker, machine):
    unit = worker("secret", DRILL)
    machine.write("/etc/coppice/secret.yaml", f"version: 1\n{DRILL}\n")
    machine.write("/etc/credstore/coppice.secret.COPPICE_BROKER_URL", "sqlite:////var/lib/coppice/secret.db\n")
    unit.order("start")
    assert machine.succeeds("test -e /var/lib/coppice/secret.db")
    machine.run("rm /etc/credstore/coppice.secret.COPPICE_BROKER_URL")


def test_the_environment_file_goes_before_the_credential_and_children_see_none_of_it(worker, machine):
    unit = worker("secret", DRILL)
    machine.write("/etc/coppice/secret.yaml", f"version: 1\n{DRILL}\n")
    machine.write("/etc/credstore/coppice.secret.COPPICE_BROKER_URL", "sqlite:////nowhere/secret.db")
    machine.write("/etc/coppice/secret.env", "COPPICE_BROKER_URL=sqlite:////var/lib/coppice/secret.db\n")
    machine.run("chmod 600 /etc/coppice/secret.env")
    unit.order("start")
    for child in unit.children:
        assert "COPPICE_" not in machine.run(f"tr '\\0' '\\n' < /proc/{child}/environ")
    machine.run("rm /etc/coppice/secret.env /etc/credstore/coppice.secret.COPPICE_BROKER_URL")


def test_the_journal_tells_one_tasks_story(worker):
    unit = worker("story", DRILL.replace("}", ", loglevel: info}"))
    unit.order("start")
    quiet = unit.client.call("drill.add", 2, 3)
    id = unit.client.call("drill.flood", 100)
    assert [unit.client.result(id), unit.client.result(quiet)] == [100, 5]
    records = unit.journal(f"COPPICE_TASK_ID={id}")
    story = "\n".join(record["MESSAGE"] for record in records)
    assert "received" in story and "x" * 99 in story and "succeeded" in story, story
    assert {record["COPPICE_TASK_NAME"] for record in records} == {"drill.flood"}
    assert {record["_SYSTEMD_UNIT"] for record in records} == {f"{unit.name}.service"}
    assert quiet not in story
