from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from core import schema
from core.database import Base, open_engine


def test_the_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    schema.upgrade(engine)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    assert differences == []


def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    schema.upgrade(engine)
    schema.upgrade(engine)
    assert schema.current_revision(engine) == schema.head_revision() is not None
    engine.dispose()


def test_an_empty_database_has_no_release(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    assert schema.current_revision(engine) is None
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_deliveries_of_the_release_before_are_kept(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    schema.upgrade(engine, "0001")
    moment = "2026-03-01 12:00:00"
    study = "1, '1.2.3', '', '', '', '', '', '', '', '', ''"
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO study VALUES ({study}, '{moment}', '{moment}', NULL, 0, NULL)"))
        connection.execute(
            text(
                "INSERT INTO job (id, study_id, revision, state, reason, message, selection, stage_attempts,"
                " fence, artefacts, progress, stage_seconds, model_digest, results, created_at, updated_at)"
                f" VALUES ('a', 1, 1, 'encoded', '', '', '{{}}', 0, 0, '{{}}', 1, '{{}}', '', '{{}}',"
                f" '{moment}', '{moment}')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO delivery (job_id, destination, state, attempts, next_try_at, last_error,"
                f" created_at) VALUES ('a', 'pacs', 'pending', 2, '{moment}', '', '{moment}')"
            )
        )
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT attempts, remark FROM delivery")).one() == (2, "")
    engine.dispose()
