"""coppice-worker@ from the package, under a real systemd: what an operator does, and what befalls a master."""

import pytest

from machine import Client, until

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


def test_each_instance_is_a_node_of_its_own_unless_the_settings_name_it(demo, worker):
    status = demo.client.command("status")
    assert "->  demo@coppice-test: OK" in status and "1 node online" in status, status
    named = worker("named", DRILL.replace("}", ", hostname: shop@%h}"))
    named.order("start")
    assert "->  shop@coppice-test: OK" in named.client.command("status")


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


def test_a_child_is_in_its_cgroup_from_its_first_instruction(worker, machine):
    """The unit hides clone3, and so the kernel can't put it there."""
    machine.write("/run/first-worker", "#!/bin/sh\nwhile read -r line; do echo $line; done </proc/self/cgroup >>/run/first-worker.seen\n"
                                       "exec /usr/libexec/coppice/drill-worker\n")  # fmt: skip
    machine.run("chmod 755 /run/first-worker; install -o coppice /dev/null /run/first-worker.seen")
    unit = worker("first", "worker: {app: /run/first-worker, concurrency: 2}", Service="ReadWritePaths=/run/first-worker.seen")
    unit.order("start")
    unit.until_status("2/2 children ready")
    groups = {machine.run(f"grep ^0: /proc/{pid}/cgroup") for pid in unit.children}
    assert set(machine.run("grep ^0: /run/first-worker.seen").splitlines()) == groups and len(groups) == 2


@pytest.fixture
def apart(worker, machine):
    """A worker whose children run as another user, with the drop-in for that: apart("a: setting").client.do(…)"""

    def make(settings):
        unit = worker("apart", settings)
        machine.run(f"mkdir -p /run/systemd/system/{unit.name}.service.d && cp /usr/share/doc/coppice/examples/child-user.conf "
                    f"/run/systemd/system/{unit.name}.service.d/test.conf && systemctl daemon-reload")  # fmt: skip
        machine.run("sed -i s:/var/lib/coppice/:/var/lib/coppice-apart/: /etc/coppice/apart.yaml")
        unit.client = Client(machine, "/etc/coppice/apart.yaml", user="root")
        return unit

    return make


def test_children_run_as_another_user_with_the_drop_in_for_it(apart, machine):
    unit = apart(DRILL.replace("}", ", child-user: nobody}"))
    unit.order("start")
    assert unit.client.do("drill.add", 2, 3) == 5
    unit.until_status("2/2 children ready")
    assert machine.run("stat -c %U /var/lib/coppice") == "coppice"
    assert {machine.run(f"stat -c %U /proc/{pid}/task") for pid in unit.children} == {"nobody"}


def test_another_users_temporary_files_go_whatever_their_modes_are(apart, machine):
    machine.write("/run/untidy-worker", "#!/bin/sh\nmkdir -m 1777 $TMPDIR/sticky && touch $TMPDIR/sticky/file\n"
                                        "exec /usr/libexec/coppice/drill-worker\n")  # fmt: skip
    machine.run("chmod 755 /run/untidy-worker")
    unit = apart("worker: {app: /run/untidy-worker, concurrency: 1, child-user: nobody, child-private-tmp: true}")
    unit.order("start")
    folder = machine.run(f"ls -d /proc/{unit.main_pid}/root/tmp/coppice-children-*/*")
    assert machine.succeeds(f"test -k {folder}/sticky -a -e {folder}/sticky/file")
    machine.run(f"kill -KILL {unit.children[0]}")
    machine.until(f"! test -e {folder}", "the end of the folder")


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
    """Calls are sent all the time, new settings are read, and a new binary stands at the old one's place."""
    unit = worker("load", DRILL.replace("/usr/libexec/coppice/drill-worker", "/run/load/worker"))
    machine.run("mkdir -p /run/load && cp /usr/libexec/coppice/drill-worker /run/load/worker")
    unit.order("start")
    unit.until_status("2/2 children ready")
    master, children = unit.main_pid, unit.children
    long = unit.client.call("drill.sleep", 3)
    with unit.client.sending("drill.sleep", 0.1) as sent:
        until(lambda: len(sent()) >= 20, "twenty calls")
        machine.run("cp /run/load/worker /run/load/new && mv /run/load/new /run/load/worker")
        machine.run("sed -i 's/concurrency: 2/concurrency: 3/' /etc/coppice/load.yaml")
        before = len(sent())
        unit.order("reload")
        during = len(sent()) - before
        assert unit["ActiveState"] == "active" and unit.main_pid == master
        unit.until_status("3/3 children ready")
        gone(machine, children)
        until(lambda: len(sent()) >= before + during + 20, "twenty calls after it")
    assert during > 0
    binary = machine.run("stat -c %i /run/load/worker")
    assert {machine.run(f"stat -L -c %i /proc/{pid}/exe") for pid in unit.children} == {binary}
    ids = sent()
    assert unit.client.results(ids) == ["0.1"] * len(ids)
    assert unit.client.result(long) == 3
    assert unit["NRestarts"] == "0"


def test_a_reload_may_take_longer_than_systemds_limit(worker, machine):
    machine.write("/run/late-worker", "#!/bin/sh\n[ ! -e /run/late-worker.late ] || sleep 6\nexec /usr/libexec/coppice/drill-worker\n")
    machine.run("rm -f /run/late-worker.late; chmod 755 /run/late-worker")
    unit = worker("late", "worker: {app: /run/late-worker, concurrency: 1}", Service="TimeoutStartSec=3")
    unit.order("start")
    children = unit.children
    machine.run("touch /run/late-worker.late")
    unit.order("reload")
    gone(machine, children)
    assert unit["ActiveState"] == "active" and unit.client.do("drill.add", 2, 3) == 5


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


def test_a_stop_may_take_longer_than_systemds_limit(worker):
    unit = worker("long", DRILL, Service="TimeoutStopSec=3")
    unit.order("start")
    id = unit.client.call("drill.sleep", 8)
    unit.client.until_state(id, "STARTED")
    unit.order("stop")
    assert unit["Result"] == "success"
    assert unit.client.result(id, timeout=1) == 8


def test_a_start_waits_for_its_broker_longer_than_systemds_limit(worker, machine):
    unit = worker("early", DRILL, Service="TimeoutStartSec=3")
    machine.write("/etc/coppice/early.yaml", f"version: 1\nCOPPICE_BROKER_URL: redis://127.0.0.1:6379/0\n{DRILL}\n")
    unit.order("start --no-block")
    # More than twice the time for which systemd would wait by itself.
    machine.run("sleep 8")
    assert unit["ActiveState"] == "activating"
    with machine.neighbour("redis-server", "--port", "6379", "--bind", "127.0.0.1", "--save", "", "--maxmemory-policy", "noeviction"):
        unit.until("ActiveState", "active")
        assert unit["NRestarts"] == "0"
        assert unit.client.do("drill.add", 2, 3) == 5


def test_quit_to_the_master_alone_ends_its_children_as_it_wants(worker, machine):
    """As deploy/debian/prerm says it."""
    unit = worker("urgent", DRILL)
    unit.order("start")
    id = unit.client.call("drill.sleep", 300)
    unit.client.until_state(id, "STARTED")
    machine.run(f"systemctl kill --kill-whom=main -s QUIT {unit.name}")
    unit.until("ActiveState", "inactive")
    assert "Killed by a cold shutdown" in unit.client.failure(id)


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


def test_a_worker_that_finds_the_machine_short_is_started_again(worker, machine):
    """By a limit that is lifted later. As TasksMax= does, which takes a controller that the container has not."""
    unit = worker("short", DRILL, Unit="StartLimitBurst=50", Service="LimitNPROC=1")
    unit.order("start --no-block")
    machine.until(f"test $(systemctl show {unit.name} --property=NRestarts --value) -ge 1", "a restart", timeout=40)
    assert "Resource temporarily unavailable" in unit.log()
    unit.configure(Service="LimitNPROC=1000")
    unit.until("ActiveState", "active", timeout=60)
    assert unit.client.do("drill.add", 2, 3) == 5


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


def test_the_journal_tells_a_success_of_the_demo(demo):
    id = demo.client.call("drill.add", 2, 3)
    assert demo.client.result(id) == 5
    story = "\n".join(record["MESSAGE"] for record in demo.journal(f"COPPICE_TASK_ID={id}"))
    assert "received" in story and "succeeded" in story, story


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
