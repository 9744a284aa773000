"""What the operators share that publish an export: its assets, the event of one, and its lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_salesforce_export.operators.arguments import is_template
from airflow_provider_salesforce_export.operators.base import SalesforceOperator

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Asset, AssetAlias, Context

    from airflow_provider_salesforce_export.export.destination import Folder
    from airflow_provider_salesforce_export.export.manifest import Manifest
    from airflow_provider_salesforce_export.export.plan import Plan
    from airflow_provider_salesforce_export.lineage import Datasets
    from airflow_provider_salesforce_export.object_types import ObjectType


class AnnouncingOperator(SalesforceOperator):
    """
    A task that publishes an export: the sObject is an inlet of it, and the folder of the export an outlet.

    Both assets are made when somebody asks for them. For the first one that is no local file, Airflow loads the
    handlers of all providers, which takes longer than a page: the page tasks, which parse the DAG too, do without.
    """

    object_type: ObjectType
    destination: str
    _asset: Asset | AssetAlias | None = None
    _manifest: Manifest | None = None

    @property
    def asset(self) -> Asset | AssetAlias:
        """
        Return what to schedule a DAG on that works with the export.

        See :func:`airflow_provider_salesforce_export.assets.export_asset`.
        """
        from airflow.providers.common.compat.sdk import AssetAlias

        from airflow_provider_salesforce_export.assets import export_asset

        if not isinstance(self.destination, str):  # what another task returns
            return AssetAlias(f"{self.dag_id}.{self.task_id}")
        return self._asset or export_asset(self.object_type, self.destination)

    @property
    def inlets(self) -> list[Any]:
        """Return the assets that the task reads: those that it was given, and the sObject."""
        self._add_assets()
        return self._inlets

    @inlets.setter
    def inlets(self, given: list[Any]) -> None:
        self._inlets, self._asset = given, None

    @property
    def outlets(self) -> list[Any]:
        """Return the assets that the task fills: those that it was given, and the folder of the export."""
        self._add_assets()
        return self._outlets

    @outlets.setter
    def outlets(self, given: list[Any]) -> None:
        self._outlets, self._asset = given, None

    def _add_assets(self) -> None:
        if self._asset or not hasattr(self, "destination"):  # as while it is constructed
            return
        from airflow_provider_salesforce_export.assets import salesforce_asset

        asset, org = self.asset, self.salesforce_conn_id
        sobjects = [salesforce_asset(self.object_type.sobject, org)] if _is_known(org) else []
        self._inlets = [*self._inlets, *(sobject for sobject in sobjects if sobject not in self._inlets)]
        self._outlets = [*self._outlets, *([] if asset in self._outlets else [asset])]
        self._asset = asset

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """
        Render the templates; what they are written in names the assets, in the worker as in the DAG processor.

        :param context: The task's context.
        :param jinja_env: Renders them.
        """
        self._add_assets()
        super().render_template_fields(context, jinja_env)

    def announce(self, context: Context, folder: Folder, manifest: Manifest, export_uri: str) -> dict[str, Any]:
        """
        Make an event of a published export, and keep what OpenLineage asks for; return a summary.

        :param context: The task's context.
        :param folder: Where the manifest stands.
        :param manifest: The manifest.
        :param export_uri: The folder that all runs of the export share, as it was rendered.
        :returns: The sums of the manifest and where it stands, for the tasks that follow: a small flat dict.
        """
        from airflow.providers.common.compat.sdk import Asset, AssetAlias

        from airflow_provider_salesforce_export.assets import event_extra
        from airflow_provider_salesforce_export.export.manifest import manifest_in

        self._manifest = manifest
        extra, asset = event_extra(manifest, str(manifest_in(folder))), self.asset
        if isinstance(asset, AssetAlias):
            context["outlet_events"][asset].add(Asset(uri=export_uri), extra=extra)
        else:
            context["outlet_events"][asset].extra = extra
        sums = {name: manifest[name] for name in ("object_type", "count", "rows", "bytes", "api_calls")}
        sums |= {"pages": len(manifest["pages"]), "repairs": len(manifest["repairs"])}
        return sums | {"folder": str(folder), "manifest": extra["manifest"]}

    def planned(self) -> tuple[Plan, Datasets] | None:
        """Return the plan, and what it leads from and to; None before there is one."""
        raise NotImplementedError

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any] | None:
        """Return what OpenLineage is told of the export; where nothing is planned yet, it takes inlets and outlets."""
        from airflow_provider_salesforce_export.lineage import export_lineage

        planned = self.planned()
        return export_lineage(*planned, self._manifest) if planned else None

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """
        Return the same, with rows and bytes if the export is published. It is asked where the task fails, too.

        :param task_instance: The task instance.
        """
        return self.get_openlineage_facets_on_start()


def _is_known(value: object) -> bool:
    """Return whether a value is known when the DAG is parsed: neither a template nor what another task returns."""
    return isinstance(value, str) and not is_template(value)
